-- SPDX-License-Identifier: BSD-3-Clause
-- Everything in the header is there, can be called, and does what it says.
local support = require "support"
local zmalloc = require "zmalloc"

local library = os.getenv "ZMALLOC_ALLOCATOR"
local header = assert(support.read(os.getenv "ZMALLOC_SOURCE" .. "/include/zmalloc.h"))

local function is_block(length)
   return function(block, ...)
      return #block == length and select("#", ...) == 0
   end
end

local function is_pair(length)
   return function(block, usable)
      return #block == length and usable == block:usable() and usable >= length
   end
end

local function is_zero(length)
   return function(block)
      return block:get() == ("\0"):rep(length)
   end
end

local function is_number(number)
   return math.type(number) == "integer" and number > 0
end

local function is_nothing(...)
   return select("#", ...) == 0
end

local function are_figures(...)
   for i = 1, 3 do
      local figure = select(i, ...)
      if figure ~= nil and (math.type(figure) ~= "integer" or figure < 0) then
         return false
      end
   end
   return select("#", ...) == 3
end

local function is_size(size)
   return math.type(size) == "integer" and size >= 0
end

local function block()
   return zmalloc.zmalloc(100)
end

-- What only jemalloc has, the others say that they don't have.
local function only_jemalloc(...)
   local arguments = table.pack(...)
   return function(call)
      if library == "jemalloc" then
         return call(table.unpack(arguments, 1, arguments.n))
      end
      local message = support.message(call, table.unpack(arguments, 1, arguments.n))
      assert.truthy(message:find "^[%l_]+: Operation not supported %(errno %d+%)$")
   end
end

local function thread_call(call)
   only_jemalloc(true)(call)
   return only_jemalloc(false)(call)
end

-- Every call of the header, with arguments that it serves and what it must answer.
local calls = {
   zmalloc = {function(f) return f(100) end, is_block(100)},
   ztrymalloc = {function(f) return f(100) end, is_block(100)},
   zmalloc_usable = {function(f) return f(100) end, is_pair(100)},
   ztrymalloc_usable = {function(f) return f(100) end, is_pair(100)},
   zmalloc_no_tcache = {function(f) return f(100) end, is_block(100)},
   zcalloc = {function(f) return f(5000) end, is_zero(5000)},
   zcalloc_num = {function(f) return f(50, 100) end, is_zero(5000)},
   ztrycalloc = {function(f) return f(5000) end, is_zero(5000)},
   zcalloc_usable = {function(f) return f(100) end, is_pair(100)},
   ztrycalloc_usable = {function(f) return f(100) end, is_pair(100)},
   zrealloc = {function(f) return f(block(), 200) end, is_block(200)},
   ztryrealloc = {function(f) return f(block(), 200) end, is_block(200)},
   zrealloc_usable = {function(f) return f(block(), 200) end, is_pair(200)},
   ztryrealloc_usable = {function(f) return f(block(), 200) end, is_pair(200)},
   zaligned_alloc = {function(f) return f(64, 100) end, is_block(100)},
   ztryaligned_alloc = {function(f) return f(64, 100) end, is_block(100)},
   zaligned_alloc_usable = {function(f) return f(64, 100) end, is_pair(100)},
   ztryaligned_alloc_usable = {function(f) return f(64, 100) end, is_pair(100)},
   zstrdup = {function(f) return f("text"):get() end, function(text) return text == "text\0" end},
   zfree = {function(f) return f(block()) end, is_nothing},
   zfree_usable = {function(f) return f(block()) end, function(usable) return usable >= 100 end},
   zfree_with_size = {function(f) return f(block(), 100) end, is_nothing},
   zfree_no_tcache = {function(f) return f(block()) end, is_nothing},
   zlibc_free = {function(f) return f(nil) end, is_nothing},
   zmalloc_size = {function(f) return f(block()) end, function(size) return size >= 100 end},
   zmalloc_usable_size = {function(f) return f(block()) end, function(size) return size >= 100 end},
   zmalloc_good_size = {function(f) return f(100) end, function(size) return size >= 100 end},
   extend_to_usable = {
      function(f)
         local whole = block()
         return f(whole, whole:usable())
      end,
      function(result) return #result == result:usable() end,
   },
   zmalloc_used_memory = {function(f)
      local kept = block()
      return f(), kept
   end, is_number},
   zmalloc_total_allocated = {function(f) return block() and f() end, is_number},
   zmalloc_total_freed = {function(f) return block():close() or f() end, is_number},
   zmalloc_thread_allocated = {function(f) return block() and f() end, is_number},
   zmalloc_thread_freed = {function(f) return block():close() or f() end, is_number},
   zmalloc_peak_memory = {function(f)
      local kept = block()
      return f(), kept
   end, is_number},
   zmalloc_reset_peak_memory = {function(f) return f() end, is_nothing},
   zmalloc_set_oom_handler = {function(f) return f(nil) end, is_nothing},
   zmalloc_set_oom_retry_handler = {function(f) return f(nil) end, is_nothing},
   zmalloc_set_limit = {function(f) return f(0) end, is_nothing},
   zmalloc_limit = {function(f) return f() end, function(limit) return limit == 0 end},
   zmalloc_set_soft_limit = {function(f) return f(0, 0, nil) end, is_nothing},
   zmalloc_soft_limit = {function(f) return f() end, function(limit) return limit == 0 end},
   zmalloc_get_rss = {function(f) return f() end, is_number},
   zmalloc_rss = {function(f) return f() end, is_number},
   zmalloc_process_rss = {function(f) return f(1) end, is_number},
   zmalloc_get_private_dirty = {function(f) return f() end, is_number},
   zmalloc_private_dirty = {function(f) return f(-1) end, is_number},
   zmalloc_get_smap_bytes_by_field = {function(f) return f("Rss:") end, is_number},
   zmalloc_smap_bytes_by_field = {function(f) return f("Rss", -1) end, is_number},
   zmalloc_smaps = {function(f) return f() end, function(sums) return is_number(sums.Rss) end},
   zmalloc_mappings = {function(f) return f() end, function(all)
      return all[1].begin < all[1]["end"] and all[1]["end"] <= all[2].begin
   end},
   zmalloc_get_memory_size = {function(f) return f() end, is_number},
   zmalloc_memory_size = {function(f) return f() end, is_number},
   zmalloc_memory_limits = {function(f) return f() end, function(limits) return is_number(limits.physical) end},
   zmalloc_memory_limit = {function(f) return f() end, is_number},
   zmalloc_thp = {function(f) return f() end, function(mode) return mode == 0 or mode == 1 or mode == 2 end},
   zmalloc_disable_thp = {function(f) return f(0) end, is_nothing},
   get_proc_stat_ll = {function(f) return f(1) end, is_number},
   zmadvise_dontneed = {function(f) return f(block()) end, is_nothing},
   zmalloc_allocator = {function(f) return f() end, function(name) return name == zmalloc.ZMALLOC_LIB end},
   zmalloc_get_allocator_info = {function(f) return f() end, are_figures},
   zmalloc_allocator_info = {function(f) return f() end, are_figures},
   set_jemalloc_bg_thread = {function(f)
      f(1)
      return f(0)
   end, is_nothing},
   zmalloc_background_thread = {thread_call, is_nothing},
   jemalloc_purge = {
      function(f) return f() end,
      function(status) return math.type(status) == "integer" and status == 0 end,
   },
   zmalloc_background_thread_enabled = {only_jemalloc(), function(enabled)
      if library == "jemalloc" then
         return enabled == false
      end
      return enabled == nil
   end},
   zmalloc_decay = {only_jemalloc(), function(dirty, muzzy)
      return math.type(dirty) == math.type(muzzy) and (dirty == nil) == (library ~= "jemalloc")
   end},
   zmalloc_set_decay = {only_jemalloc(10000, 0), is_nothing},
   zmalloc_defrag_hint = {function(f) return only_jemalloc(block())(f) end, function(helps)
      if library == "jemalloc" then
         return type(helps) == "boolean"
      end
      return helps == nil
   end},
   zmalloc_defrag_hints = {only_jemalloc {}, function(hints) return hints == nil or next(hints) == nil end},
   zmalloc_defrag = {only_jemalloc({}, 0, 0), function(done) return done == nil or done.position == 0 end},
   zmalloc_purge = {function(f) return f() end, is_size},
   zmalloc_publish = {function(f)
      f(true, 10)
      return f(false, 0)
   end, is_nothing},
   zmalloc_published = {function(f)
      zmalloc.zmalloc_publish(true, 0)
      local published = f()
      zmalloc.zmalloc_publish(false, 0)
      return published
   end, function(published)
      return published.used == zmalloc.used_memory() and published.allocator == zmalloc.allocator
   end},
   zmalloc_report = {function(f) return f(1) end, function(report)
      return is_number(report.rss) and is_number(report.pss)
   end},
}

describe("the header's", function()
   it("calls are the table's", function()
      local declared, count = {}, 0
      for declaration in ("\n" .. header):gmatch "\nZMALLOC_API ([^;]*);" do
         declared[declaration:match "([%w_]+)%("] = true
         count = count + 1
      end
      local known = {}
      for name in pairs(calls) do
         known[name] = true
         count = count - 1
      end
      assert.same(declared, known)
      assert.equal(0, count)
   end)

   for name, call in pairs(calls) do
      it(name, function()
         assert.is_true(call[2](call[1](zmalloc[name])))
      end)
   end

   it("macros", function()
      local version = header:match 'ZMALLOC_VERSION "(.-)"'
      assert.equal(version, zmalloc.ZMALLOC_VERSION)
      assert.equal(version, zmalloc._VERSION)
      assert.equal(version, table.concat({
         zmalloc.ZMALLOC_VERSION_MAJOR, zmalloc.ZMALLOC_VERSION_MINOR, zmalloc.ZMALLOC_VERSION_PATCH}, "."))
      for _, name in ipairs {"ZMALLOC_MOST_FIELDS", "ZMALLOC_LONGEST_FIELD"} do
         assert.equal(support.integer(header:match("#define " .. name .. " (%d+)")), zmalloc[name])
      end
      assert.is_nil(zmalloc.ZMALLOC_UNKNOWN)
      assert.is_nil(zmalloc.ZMALLOC_UNKNOWN_DIFFERENCE)
      assert.equal(math.huge, zmalloc.ZMALLOC_NO_LIMIT)
      assert.equal(zmalloc.allocator, zmalloc.ZMALLOC_LIB)
      assert.equal(1, zmalloc.allocator:find(library .. "-", 1, true))
      local has_size
      if os.getenv "ZMALLOC_PREFIX" == "0" then
         has_size = 1
      end
      assert.equal(has_size, zmalloc.HAVE_MALLOC_SIZE)
   end)
end)

describe("the idiomatic", function()
   it("names say the same", function()
      assert.equal(zmalloc.zmalloc_used_memory(), zmalloc.used_memory())
      assert.equal(zmalloc.zmalloc_memory_size(), zmalloc.memory_size())
      assert.is_true(is_size(zmalloc.purge()))
      thread_call(zmalloc.background_thread)
   end)

   it("allocator_info has nil for what is not known", function()
      local kept = zmalloc.Block(100)
      local info = zmalloc.allocator_info()
      local allocated, active, resident = zmalloc.zmalloc_get_allocator_info()
      assert.equal(allocated ~= 0, info.allocated ~= nil)
      assert.equal(active ~= 0, info.active ~= nil)
      assert.equal(resident ~= 0, info.resident ~= nil)
      assert.equal(100, #kept)
      for name, figure in pairs(info) do
         assert.equal("integer", math.type(figure), name)
      end
      if library == "libc" then
         assert.is_nil(info.resident)
      end
   end)

   it("allocator_info sees a large block", function()
      local before = zmalloc.allocator_info().active
      local kept = zmalloc.Block(64 * support.MiB)
      local during = zmalloc.allocator_info().active
      if before then
         assert.is_true(during - before >= 60 * support.MiB)
      end
      assert.equal(64 * support.MiB, #kept)
   end)
end)
