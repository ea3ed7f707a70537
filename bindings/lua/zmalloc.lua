-- SPDX-License-Identifier: BSD-3-Clause
-- The few calls that say what the C names say in Lua's way. Compiled into the module, which is loaded by now.
local zmalloc = require "zmalloc"

zmalloc._VERSION = zmalloc.ZMALLOC_VERSION
zmalloc.ZMALLOC_LIB = zmalloc.zmalloc_allocator()

zmalloc.allocator = zmalloc.ZMALLOC_LIB
zmalloc.used_memory = zmalloc.zmalloc_used_memory
zmalloc.peak_memory = zmalloc.zmalloc_peak_memory
zmalloc.reset_peak_memory = zmalloc.zmalloc_reset_peak_memory
zmalloc.good_size = zmalloc.zmalloc_good_size
zmalloc.rss = zmalloc.zmalloc_rss
zmalloc.memory_size = zmalloc.zmalloc_memory_size
zmalloc.private_dirty = zmalloc.zmalloc_private_dirty
zmalloc.purge = zmalloc.zmalloc_purge
zmalloc.background_thread = zmalloc.zmalloc_background_thread
zmalloc.set_oom_handler = zmalloc.zmalloc_set_oom_handler

-- An error in it is put down to the line that called the caller.
local function sum_of(field, pid)
   local ok, sum = pcall(zmalloc.zmalloc_smap_bytes_by_field, field, pid)
   return ok and sum or error(sum, 3)
end

-- Sum of a field over the mappings of a process, in bytes; without a field, a table of all that the kernel sums.
function zmalloc.smaps(field, pid)
   if field ~= nil then
      return (sum_of(field, pid))
   end
   sum_of("Rss", pid) -- refuses what is no process
   local folder = (pid == nil or pid == -1) and "self" or ("%d"):format(pid)
   local file <close> = assert(io.open("/proc/" .. folder .. "/smaps_rollup"))
   local sums = {}
   for line in file:lines() do
      local name = line:match("^([%w_]+): +%d+ kB$")
      if name then
         sums[name] = sum_of(name, pid)
      end
   end
   return sums
end

-- Whether the options of a scope ask for all threads. An error is put down to the line that asked for the scope.
local function wants_all_threads(options)
   if type(options) ~= "table" and options ~= nil then
      error(("track: argument 'options' must be a table or nil, not %s"):format(type(options)), 3)
   end
   for name, value in next, options or {} do
      if name ~= "all_threads" then
         error(("track: argument 'options' has a field '%s', which means nothing"):format(tostring(name)), 3)
      elseif type(value) ~= "boolean" then
         error(("track: argument 'all_threads' must be a boolean, not %s"):format(type(value)), 3)
      end
   end
   return options ~= nil and rawget(options, "all_threads")
end

-- What was added to a total; where size_t has 32 bits it may have wrapped.
local function growth(before, now)
   return now >= before and now - before or math.tointeger(now - before + zmalloc.ZMALLOC_UNKNOWN + 1)
end

-- A scope, to be kept in a variable that is <close>: t.allocated, t.freed and t.kept are the bytes that this thread,
-- or with {all_threads = true} all of the process, has allocated, freed, and allocated less freed since; fixed when it
-- is closed, or by t:stop(). What counts are Blocks, each with its zmalloc_size, a resize as one freed and one
-- allocated; whatever else Lua allocates is not counted. A Block that is garbage is freed when Lua collects it.
function zmalloc.track(options)
   local read_allocated, read_freed = zmalloc.zmalloc_thread_allocated, zmalloc.zmalloc_thread_freed
   if wants_all_threads(options) then
      read_allocated, read_freed = zmalloc.zmalloc_total_allocated, zmalloc.zmalloc_total_freed
   end
   local allocated, freed = read_allocated(), read_freed()

   local function sums()
      return growth(allocated, read_allocated()), growth(freed, read_freed())
   end
   local function stop()
      local all_allocated, all_freed = sums()
      sums = function()
         return all_allocated, all_freed
      end
   end
   local fields = {
      allocated = function() return (sums()) end,
      freed = function() return (select(2, sums())) end,
      kept = function()
         local all_allocated, all_freed = sums()
         return all_allocated - all_freed
      end,
      stop = function() return stop end,
   }
   return setmetatable({}, {
      __index = function(_, name)
         local field = fields[name]
         return field and field()
      end,
      __newindex = function(_, name)
         error(("track: '%s' can't be set"):format(tostring(name)), 2)
      end,
      __close = stop,
      __metatable = "zmalloc.Track",
   })
end

-- What the allocator says of itself, in bytes; what it can't tell is nil.
function zmalloc.allocator_info()
   local function known(figure)
      return figure ~= zmalloc.ZMALLOC_UNKNOWN and figure or nil
   end
   local allocated, active, resident = zmalloc.zmalloc_allocator_info()
   return {allocated = known(allocated), active = known(active), resident = known(resident)}
end
