-- SPDX-License-Identifier: BSD-3-Clause
-- The few calls that say what the C names say in Lua's way. Compiled into the module, which is loaded by now.
local zmalloc = require "zmalloc"

zmalloc._VERSION = zmalloc.ZMALLOC_VERSION
zmalloc.ZMALLOC_LIB = zmalloc.zmalloc_allocator()

zmalloc.allocator = zmalloc.ZMALLOC_LIB
zmalloc.used_memory = zmalloc.zmalloc_used_memory
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

-- What the allocator says of itself, in bytes; what it can't tell is nil.
function zmalloc.allocator_info()
   local function known(figure)
      return figure ~= zmalloc.ZMALLOC_UNKNOWN and figure or nil
   end
   local allocated, active, resident = zmalloc.zmalloc_allocator_info()
   return {allocated = known(allocated), active = known(active), resident = known(resident)}
end
