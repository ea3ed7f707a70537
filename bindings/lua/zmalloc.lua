-- SPDX-License-Identifier: BSD-3-Clause
-- The calls that do in Lua's way what the C names do. Compiled into the module, which is loaded by now.
local zmalloc = require "zmalloc"

zmalloc._VERSION = zmalloc.ZMALLOC_VERSION
zmalloc.ZMALLOC_LIB = zmalloc.zmalloc_allocator()
zmalloc.allocator = zmalloc.ZMALLOC_LIB
zmalloc.used_memory = zmalloc.zmalloc_used_memory
zmalloc.peak_memory = zmalloc.zmalloc_peak_memory
zmalloc.reset_peak_memory = zmalloc.zmalloc_reset_peak_memory

-- The results of pcall; or its error, which names this call in place of C's, and is put down to the line that called
-- the function which asks here. That must not ask by a tail call: in 5.1 it is a level of its own.
local function answer(call, ok, result, ...)
   if not ok then
      if type(result) == "string" then
         result = result:gsub("^zmalloc_[%w_]+: ", call .. ": ", 1)
      end
      error(result, 3)
   end
   return result, ...
end

-- The bytes that a block of size bytes may use; 0 if no block can be so large. See zmalloc_good_size.
---@param size integer
---@return integer
function zmalloc.good_size(size)
   local usable = answer("good_size", pcall(zmalloc.zmalloc_good_size, size))
   return usable
end

-- Resident set size of the process, in bytes; see zmalloc_process_rss.
---@param pid? integer
---@return integer
function zmalloc.rss(pid)
   local bytes = answer("rss", pcall(zmalloc.zmalloc_process_rss, pid))
   return bytes
end

-- Bytes that the process has written to and shares with none; see zmalloc_private_dirty.
---@param pid? integer
---@return integer
function zmalloc.private_dirty(pid)
   local bytes = answer("private_dirty", pcall(zmalloc.zmalloc_private_dirty, pid))
   return bytes
end

-- The mappings of a process, in the order of their addresses; see zmalloc_mappings.
---@param pid? integer
---@return zmalloc.Mapping[]
function zmalloc.mappings(pid)
   local mappings = answer("mappings", pcall(zmalloc.zmalloc_mappings, pid))
   return mappings
end

-- Publishes this process's figures for published() in others of its user; with false, ends that. Each report
-- refreshes them. With an interval, in seconds, a thread does so too, at least so often. See zmalloc_publish.
---@param on? boolean
---@param interval? number
function zmalloc.publish(on, interval)
   if type(interval) ~= "number" and interval ~= nil then
      error(("publish: argument 'interval' must be a number or nil, not %s"):format(type(interval)), 2)
   elseif interval and not (interval > 0 and interval <= 2e6) then
      error("publish: argument 'interval' must be above 0 and at most 2000000", 2)
   end
   local interval_ms = interval and math.max(1, math.floor(interval * 1000 + 0.5)) or 0
   answer("publish", pcall(zmalloc.zmalloc_publish, on == nil or on, interval_ms))
end

-- What a process has published, in bytes, and when; see zmalloc_published.
---@param pid? integer
---@return zmalloc.Published
function zmalloc.published(pid)
   local published = answer("published", pcall(zmalloc.zmalloc_published, pid))
   return published
end

-- Physical memory of this machine, in bytes; see zmalloc_memory_size.
---@return integer
function zmalloc.memory_size()
   local bytes = answer("memory_size", pcall(zmalloc.zmalloc_memory_size))
   return bytes
end

-- The least of the limits on memory, in bytes; see zmalloc_memory_limit.
---@return integer
function zmalloc.memory_limit()
   local bytes = answer("memory_limit", pcall(zmalloc.zmalloc_memory_limit))
   return bytes
end

-- The limits on memory one by one, in bytes; see zmalloc_memory_limits.
---@return zmalloc.MemoryLimits
function zmalloc.memory_limits()
   local limits = answer("memory_limits", pcall(zmalloc.zmalloc_memory_limits))
   return limits
end

-- After how many milliseconds without use the allocator gives pages back; see zmalloc_decay.
---@return integer dirty_ms
---@return integer muzzy_ms
function zmalloc.decay()
   local dirty_ms, muzzy_ms = answer("decay", pcall(zmalloc.zmalloc_decay))
   return dirty_ms, muzzy_ms
end

-- Sets these times; -1 is never. See zmalloc_set_decay.
---@param dirty_ms integer
---@param muzzy_ms integer
function zmalloc.set_decay(dirty_ms, muzzy_ms)
   answer("set_decay", pcall(zmalloc.zmalloc_set_decay, dirty_ms, muzzy_ms))
end

-- Has the allocator give back what no block needs; returns by how many bytes the resident set fell, nil if that is
-- unknown. See zmalloc_purge.
---@return integer? returned
function zmalloc.purge()
   local returned = answer("purge", pcall(zmalloc.zmalloc_purge))
   return returned
end

-- The options of a call: a table of these names and types, or nil. An error is put down to the line at that level, as
-- error counts them here.
local function check_options(call, options, types, level)
   if type(options) ~= "table" and options ~= nil then
      error(("%s: argument 'options' must be a table or nil, not %s"):format(call, type(options)), level)
   end
   for name, value in next, options or {} do
      if not types[name] then
         error(("%s: argument 'options' has a field '%s', which means nothing"):format(call, tostring(name)), level)
      elseif type(value) ~= types[name] then
         local article = types[name]:find "^[aeiou]" and "an" or "a"
         local words = "%s: argument '%s' must be %s %s, not %s"
         error(words:format(call, name, article, types[name], type(value)), level)
      end
   end
end

-- What the kernel knows of another process, by the names that the report has for it.
local kernel_names = {rss = "Rss", pss = "Pss", private_dirty = "Private_Dirty", swap = "Swap",
   huge_pages = "AnonHugePages", private_hugetlb = "Private_Hugetlb", shared_hugetlb = "Shared_Hugetlb"}
local function kernel_figures(sums)
   local figures = {}
   sums = type(sums) == "table" and sums or {Rss = sums}
   for name, field in next, kernel_names do
      figures[name] = sums[field]
   end
   if sums.Private_Clean and sums.Private_Dirty then
      figures.uss = sums.Private_Clean + sums.Private_Dirty
   end
   return figures
end

-- What it has published of a report; and what each level adds to the nearest known one below it.
local published_names = {"used", "mapped", "retained", "metadata", "muzzy", "allocator_frag_smallbins_bytes"}
local gaps = {"allocator_overhead_bytes", "allocator_frag_bytes", "allocator_rss_bytes", "rss_overhead_bytes"}
local function add_published(figures, published)
   for _, name in ipairs(published_names) do
      figures[name] = published[name]
   end
   local below = published.used
   for i, level in ipairs {"allocated", "active", "resident", "rss"} do
      figures[level] = figures[level] or published[level] -- the kernel's rss is of now
      figures[gaps[i]] = figures[level] and figures[level] - below
      below = figures[level] or below
   end
   figures.mem_fragmentation_ratio = published.used > 0 and figures.rss and figures.rss / published.used or nil
end

-- Where a process's memory is, in bytes; an unknown figure is nil. See zmalloc_report. The walk of the page tables
-- takes longer and has more figures; a boolean in place of the options is the walk. Of another process the kernel's
-- figures are known: rss, and those of the walk; the others if it publishes them (see published).
---@param options? boolean|integer|{pid: integer?, walk: boolean?}
---@return zmalloc.Report
function zmalloc.report(options)
   local pid, walk = nil, options
   if type(options) == "table" then
      check_options("report", options, {pid = "number", walk = "boolean"}, 3)
      pid, walk = rawget(options, "pid"), rawget(options, "walk")
   end
   if pid == nil or pid == -1 or pid == zmalloc.get_proc_stat_ll(1) then
      local report = answer("report", pcall(zmalloc.zmalloc_report, walk))
      return report
   end
   local ask = walk and zmalloc.zmalloc_smaps or zmalloc.zmalloc_process_rss
   local report = kernel_figures(answer("report", pcall(ask, pid)))
   local is_told, published = pcall(zmalloc.zmalloc_published, pid)
   if is_told then
      add_published(report, published)
   elseif (tostring(published):match "%(errno (%d+)%)$" or "3") == "3" then -- it has ended, or there is no memory
      answer("report", false, published)
   end
   return report
end

-- Sets a handler, which is called with the size in bytes when there is no memory for a Block. nil removes it. The
-- handler runs in the coroutine whose request failed, and can't yield. Each Lua state has its own. An error that it
-- raises leaves the call that failed. If it returns, or there is no handler, that call raises an error. A request of
-- the handler itself that fails raises an error at once. With retry, a true result says that the handler has freed
-- something: the request is tried again, at most ZMALLOC_MOST_RETRIES times. The handler can't use the Block that is
-- being resized: that is an error.
---@param handler? fun(size: integer): any
---@param retry? boolean
function zmalloc.set_oom_handler(handler, retry)
   if type(retry) ~= "boolean" and retry ~= nil then
      error(("set_oom_handler: argument 'retry' must be a boolean or nil, not %s"):format(type(retry)), 2)
   end
   local set = retry and zmalloc.zmalloc_set_oom_retry_handler or zmalloc.zmalloc_set_oom_handler
   answer("set_oom_handler", pcall(set, handler))
end

-- A limit as C has it, where 0 is none; and as Lua has it.
local function to_bytes(limit)
   return (limit == nil or limit == math.huge) and 0 or limit
end
local function from_bytes(limit)
   return limit == 0 and math.huge or limit
end

-- Sets the most bytes that may be in use, by used_memory; nil, math.huge or 0 is no limit. A request that would pass
-- the limit calls the handler of set_oom_handler, then raises an error. Blocks in use stay. Freeing and shrinking
-- always work. The limit is for the Blocks of all threads: Lua's own memory is not counted.
---@param bytes? number
function zmalloc.set_limit(bytes)
   answer("set_limit", pcall(zmalloc.zmalloc_set_limit, to_bytes(bytes)))
end

-- The limit that is set, in bytes; math.huge if none is. With an argument, sets it and returns a scope. From 5.4 on
-- keep the scope in a variable that is <close>. When the scope is closed, or by its stop(), the limit from before is
-- set again.
---@param bytes? number
---@return number|zmalloc.Limit
function zmalloc.limit(bytes)
   local before = zmalloc.zmalloc_limit()
   if bytes == nil then
      return from_bytes(before)
   end
   answer("limit", pcall(zmalloc.zmalloc_set_limit, to_bytes(bytes)))
   local function stop()
      if before then
         zmalloc.zmalloc_set_limit(before)
         before = nil
      end
   end
   return setmetatable({stop = stop}, {__close = stop, __metatable = "zmalloc.Limit"})
end

-- Sets a soft limit: when the bytes in use pass it, handler is called with the bytes in use. nil is no limit. The
-- handler is called once, at the end of the call that passed the limit. If it raises an error, that leaves the call.
-- It is called again only after the bytes in use were seen below bytes - hysteresis, which is a tenth of bytes by
-- default. Each Lua state has its own handler.
---@param bytes? number
---@param handler? fun(used: integer)
---@param hysteresis? integer
function zmalloc.set_soft_limit(bytes, handler, hysteresis)
   local soft = to_bytes(bytes)
   if soft == 0 then
      handler, hysteresis = nil, 0
   elseif hysteresis == nil then
      hysteresis = type(soft) == "number" and soft > 0 and math.floor(soft / 10) or 0
   end
   answer("set_soft_limit", pcall(zmalloc.zmalloc_set_soft_limit, soft, hysteresis, handler))
end

-- The soft limit that is set, in bytes; math.huge if none is.
---@return number
function zmalloc.soft_limit()
   return from_bytes(zmalloc.zmalloc_soft_limit())
end

-- Sum of a field over the mappings of a process, in bytes; without a field, a table of all that the kernel sums.
---@param field? string
---@param pid? integer
---@return integer|table<string, integer>
function zmalloc.smaps(field, pid)
   local sums
   if field == nil then
      sums = answer("smaps", pcall(zmalloc.zmalloc_smaps, pid))
   else
      sums = answer("smaps", pcall(zmalloc.zmalloc_smap_bytes_by_field, field, pid))
   end
   return sums
end

-- Forbids huge pages in this process and its later children; with false, allows them again.
---@param disable? boolean|integer
function zmalloc.disable_thp(disable)
   answer("disable_thp", pcall(zmalloc.zmalloc_disable_thp, disable == nil or disable))
end

-- Starts or ends the allocator's background thread. Without an argument, returns whether it is wanted.
---@param on? boolean|integer
---@return boolean?
function zmalloc.background_thread(on)
   if on ~= nil then
      answer("background_thread", pcall(zmalloc.zmalloc_background_thread, on))
      return
   end
   local wanted = answer("background_thread", pcall(zmalloc.zmalloc_background_thread_enabled))
   return wanted
end

-- When the kernel makes this process's pages huge: "never", "madvise" (where madvise asks for it) or "always".
---@return "never"|"madvise"|"always"
function zmalloc.thp()
   local mode = answer("thp", pcall(zmalloc.zmalloc_thp))
   return ({[0] = "never", "madvise", "always"})[mode]
end

-- Whether to move the Block would help to give memory back; see zmalloc_defrag_hint. An error if the allocator can't
-- tell: jemalloc can.
---@param block? zmalloc.Block
---@return boolean
function zmalloc.defrag_hint(block)
   local helps = answer("defrag_hint", pcall(zmalloc.zmalloc_defrag_hint, block))
   return helps
end

-- Moves those Blocks of a table whose move helps to empty pages; see zmalloc_defrag. What is in them stays the same.
-- The call does the blocks after the first options.start, and returns after about options.max_seconds. Then position
-- is less than #blocks, and is the next call's start.
---@param blocks zmalloc.Block[]
---@param options? {max_seconds: number?, start: integer?}
---@return zmalloc.Defrag
function zmalloc.defrag(blocks, options)
   check_options("defrag", options, {max_seconds = "number", start = "number"}, 3)
   local seconds = options and rawget(options, "max_seconds") or math.huge
   if seconds < 0 or seconds ~= seconds then
      error("defrag: argument 'max_seconds' must not be negative", 2)
   end
   local max_us = seconds < 1e6 and math.max(1, math.floor(seconds * 1e6)) or 0
   local start = options and rawget(options, "start") or 0
   local done = answer("defrag", pcall(zmalloc.zmalloc_defrag, blocks, start, max_us))
   return done
end

-- Whether the options of a scope ask for all threads.
local function wants_all_threads(options)
   check_options("track", options, {all_threads = "boolean"}, 4)
   return options ~= nil and rawget(options, "all_threads")
end

-- What was added to a total; where size_t has 32 bits it may have wrapped.
local size_range = 2 ^ zmalloc.size_bits
zmalloc.size_bits = nil
local function growth(before, now)
   return now >= before and now - before or math.floor(now - before + size_range)
end

-- A scope. From 5.4 on keep it in a variable that is <close>. t.allocated, t.freed and t.kept are the bytes that this
-- thread has allocated, freed, and allocated less freed since; with {all_threads = true}, all threads of the process.
-- They are fixed when the scope is closed, or by t.stop(). Every Block counts by its zmalloc_size. A resize counts as
-- one block freed and one allocated. Other memory of Lua is not counted. A Block that is garbage is freed when Lua
-- collects it.
---@param options? {all_threads: boolean?}
---@return zmalloc.Track
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

-- What the allocator reports of itself, in bytes; an unknown figure is nil.
---@return zmalloc.AllocatorInfo
function zmalloc.allocator_info()
   local allocated, active, resident = zmalloc.zmalloc_allocator_info()
   return {allocated = allocated, active = active, resident = resident}
end
