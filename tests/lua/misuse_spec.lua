-- SPDX-License-Identifier: BSD-3-Clause
-- Whatever a script hands to a call, it gets an error that names the call and the argument.
local support = require "support"
local zmalloc = require "zmalloc"

local refuses = support.refuses

local function spare()
   return zmalloc.zmalloc(10)
end

-- Call, argument, and how a value comes to be that argument.
local sizes = {
   {"zmalloc", "size", zmalloc.zmalloc},
   {"ztrymalloc", "size", zmalloc.ztrymalloc},
   {"zmalloc_usable", "size", zmalloc.zmalloc_usable},
   {"ztrymalloc_usable", "size", zmalloc.ztrymalloc_usable},
   {"zmalloc_no_tcache", "size", zmalloc.zmalloc_no_tcache},
   {"zcalloc", "size", zmalloc.zcalloc},
   {"zcalloc_num", "num", function(value) return zmalloc.zcalloc_num(value, 1) end},
   {"zcalloc_num", "size", function(value) return zmalloc.zcalloc_num(1, value) end},
   {"ztrycalloc", "size", zmalloc.ztrycalloc},
   {"zcalloc_usable", "size", zmalloc.zcalloc_usable},
   {"ztrycalloc_usable", "size", zmalloc.ztrycalloc_usable},
   {"zrealloc", "size", function(value) return zmalloc.zrealloc(spare(), value) end},
   {"ztryrealloc", "size", function(value) return zmalloc.ztryrealloc(spare(), value) end},
   {"zrealloc_usable", "size", function(value) return zmalloc.zrealloc_usable(spare(), value) end},
   {"ztryrealloc_usable", "size", function(value) return zmalloc.ztryrealloc_usable(spare(), value) end},
   {"extend_to_usable", "size", function(value) return zmalloc.extend_to_usable(spare(), value) end},
   {"zaligned_alloc", "size", function(value) return zmalloc.zaligned_alloc(64, value) end},
   {"ztryaligned_alloc", "size", function(value) return zmalloc.ztryaligned_alloc(64, value) end},
   {"zaligned_alloc_usable", "size", function(value) return zmalloc.zaligned_alloc_usable(64, value) end},
   {"ztryaligned_alloc_usable", "size", function(value) return zmalloc.ztryaligned_alloc_usable(64, value) end},
   {"zfree_with_size", "size", function(value) return zmalloc.zfree_with_size(zmalloc.zmalloc(8), value) end},
   {"zmalloc_good_size", "size", zmalloc.zmalloc_good_size},
   {"Block", "size", zmalloc.Block},
   {"Block", "size", function(value) return zmalloc.Block(value, 64) end},
   {"resize", "size", function(value) return spare():resize(value) end},
}

local alignments = {
   {"zaligned_alloc", "alignment", function(value) return zmalloc.zaligned_alloc(value, 10) end},
   {"ztryaligned_alloc", "alignment", function(value) return zmalloc.ztryaligned_alloc(value, 10) end},
   {"zaligned_alloc_usable", "alignment", function(value) return zmalloc.zaligned_alloc_usable(value, 10) end},
   {"ztryaligned_alloc_usable", "alignment", function(value) return zmalloc.ztryaligned_alloc_usable(value, 10) end},
   {"Block", "alignment", function(value) return zmalloc.Block(10, value) end},
}

local pids = {
   {"zmalloc_get_private_dirty", "pid", zmalloc.zmalloc_get_private_dirty},
   {"zmalloc_private_dirty", "pid", zmalloc.zmalloc_private_dirty},
   {"private_dirty", "pid", zmalloc.private_dirty},
   {"zmalloc_get_smap_bytes_by_field", "pid",
      function(value) return zmalloc.zmalloc_get_smap_bytes_by_field("Rss", value) end},
   {"zmalloc_smap_bytes_by_field", "pid",
      function(value) return zmalloc.zmalloc_smap_bytes_by_field("Rss", value) end},
   {"smaps", "pid", function(value) return zmalloc.smaps("Rss", value) end},
   {"zmalloc_smaps", "pid", zmalloc.zmalloc_smaps},
   {"smaps", "pid", function(value) return zmalloc.smaps(nil, value) end},
   {"mappings", "pid", zmalloc.mappings},
   {"rss", "pid", zmalloc.rss},
}

local ints = {
   {"get_proc_stat_ll", "i", zmalloc.get_proc_stat_ll},
   {"set_jemalloc_bg_thread", "enable", zmalloc.set_jemalloc_bg_thread},
   {"zmalloc_background_thread", "enable", zmalloc.zmalloc_background_thread},
   {"zmalloc_disable_thp", "disable", zmalloc.zmalloc_disable_thp},
   {"zmalloc_report", "walk", function(value) return zmalloc.zmalloc_report(value == nil and "" or value) end},
}

local times = {
   {"set_decay", "dirty_ms", function(value) return zmalloc.set_decay(value, 0) end},
   {"set_decay", "muzzy_ms", function(value) return zmalloc.set_decay(0, value) end},
}

local fields = {
   {"zmalloc_get_smap_bytes_by_field", "field", zmalloc.zmalloc_get_smap_bytes_by_field},
   {"zmalloc_smap_bytes_by_field", "field", zmalloc.zmalloc_smap_bytes_by_field},
}

local blocks = {
   {"zfree", "ptr", zmalloc.zfree},
   {"zfree_usable", "ptr", zmalloc.zfree_usable},
   {"zfree_with_size", "ptr", function(value) return zmalloc.zfree_with_size(value, 10) end},
   {"zfree_no_tcache", "ptr", zmalloc.zfree_no_tcache},
   {"zmalloc_size", "ptr", zmalloc.zmalloc_size},
   {"zmalloc_usable_size", "ptr", zmalloc.zmalloc_usable_size},
   {"zmadvise_dontneed", "ptr", zmalloc.zmadvise_dontneed},
   {"zmalloc_defrag_hint", "ptr", zmalloc.zmalloc_defrag_hint},
   {"zrealloc", "ptr", function(value) return zmalloc.zrealloc(value, 10) end},
   {"ztryrealloc", "ptr", function(value) return zmalloc.ztryrealloc(value, 10) end},
   {"zrealloc_usable", "ptr", function(value) return zmalloc.zrealloc_usable(value, 10) end},
   {"ztryrealloc_usable", "ptr", function(value) return zmalloc.ztryrealloc_usable(value, 10) end},
   {"extend_to_usable", "ptr", function(value) return zmalloc.extend_to_usable(value, 10) end},
}

local not_numbers = {true, false, "1", "x", "0x10", {}, print, io.stdout, coroutine.create(function() end)}
local not_integers = {1.5, -0.5, 0 / 0, 1 / 0, -1 / 0, 2.0^63, 2.0^64, -2.0^64, 1e300}

describe("a size", function()
   for _, case in ipairs(sizes) do
      local call, argument, use = table.unpack(case)

      it(("that is none: %s, %s"):format(call, argument), function()
         refuses(call, argument, use, nil)
         for _, value in ipairs(not_numbers) do
            refuses(call, argument, use, value)
         end
         for _, value in ipairs(not_integers) do
            refuses(call, argument, use, value)
         end
         for _, value in ipairs {-1, -1.0, math.mininteger} do
            refuses(call, argument, use, value)
         end
      end)

      it(("that is a whole float: %s, %s"):format(call, argument), function()
         use(8.0)
      end)

      if not support.has_integers then
         it(("that is not exact: %s, %s"):format(call, argument), function()
            for _, value in ipairs {2 ^ 53, 2 ^ 53 + 2, 2 ^ 62, 2 ^ 63 - 1024} do
               refuses(call, argument, use, value)
            end
         end)
      end

      it(("that nobody has: %s, %s"):format(call, argument), function()
         for _, value in ipairs {support.huge, support.huge + 0.0, math.maxinteger} do
            if call:find "^ztry" then
               local block, usable = use(value)
               assert.is_nil(block)
               assert.equal(call:find "usable" and 0 or nil, usable)
            elseif call == "extend_to_usable" or call == "zfree_with_size" then
               refuses(call, argument, use, value)
            elseif call == "zmalloc_good_size" then
               assert.is_true(use(value) == 0 or use(value) >= value)
            else
               local expected = ("%s: can't allocate a size of %d bytes"):format(call, value)
               assert.truthy(support.message(use, value):find(expected, 1, true))
            end
         end
      end)
   end

   it("whose product overflows", function()
      for _, factors in ipairs {{0x100000000, 0x100000000}, {support.huge, 4}, {math.maxinteger, math.maxinteger}} do
         assert.truthy(support.message(zmalloc.zcalloc_num, table.unpack(factors)):find "zcalloc_num: can't allocate")
      end
   end)
end)

describe("an alignment", function()
   for _, case in ipairs(alignments) do
      local call, argument, use = table.unpack(case)

      it("that is none: " .. call, function()
         if call ~= "Block" then
            refuses(call, argument, use, nil)
         end
         for _, values in ipairs {not_numbers, not_integers, {-1, -64.0, math.mininteger}} do
            for _, value in ipairs(values) do
               refuses(call, argument, use, value)
            end
         end
      end)

      it("that is no power of two: " .. call, function()
         for _, value in ipairs {0, 3, 24, 24.0, support.huge + 1, math.maxinteger} do
            refuses(call, argument, use, value)
            assert.truthy(support.message(use, value):find "must be a power of two")
         end
      end)

      it("that nobody has: " .. call, function()
         for _, value in ipairs {support.huge / 2, support.huge} do
            if call:find "^ztry" then
               assert.is_nil((use(value)))
            else
               local expected = call .. ": can't allocate a size of 10 bytes"
               assert.truthy(support.message(use, value):find(expected, 1, true))
            end
         end
      end)
   end
end)

describe("a number", function()
   for _, case in ipairs(pids) do
      local call, argument, use = table.unpack(case)

      it(("that can be no process: %s"):format(call), function()
         for _, value in ipairs(not_numbers) do
            refuses(call, argument, use, value)
         end
         for _, value in ipairs(not_integers) do
            refuses(call, argument, use, value)
         end
         for _, value in ipairs {0, -2, math.mininteger} do
            if call:find "_get_" then
               assert.equal(0, use(value))
            else
               assert.truthy(support.message(use, value):find(call .. ": Invalid argument", 1, true))
            end
         end
      end)
   end

   for _, case in ipairs(ints) do
      local call, argument, use = table.unpack(case)

      it("that is no int: " .. call, function()
         refuses(call, argument, use, nil)
         for _, value in ipairs(not_numbers) do
            if argument == "i" or type(value) ~= "boolean" then
               refuses(call, argument, use, value)
            end
         end
         for _, value in ipairs {1.5, 0x80000000, -0x80000001, math.maxinteger, 2.0^64} do
            refuses(call, argument, use, value)
         end
      end)
   end
end)

describe("a time", function()
   for _, case in ipairs(times) do
      local call, argument, use = table.unpack(case)

      it("that is none: " .. argument, function()
         refuses(call, argument, use, nil)
         for _, values in ipairs {not_numbers, not_integers} do
            for _, value in ipairs(values) do
               refuses(call, argument, use, value)
            end
         end
      end)
   end
end)

describe("a text", function()
   for _, case in ipairs(fields) do
      local call, argument, use = table.unpack(case)

      it("that names no field: " .. call, function()
         refuses(call, argument, use, nil)
         for _, value in ipairs {"", "\0", "Rss\0", "Rss\0Pss", 1, 1.5, true, {}, print, io.stdout} do
            refuses(call, argument, use, value)
         end
      end)
   end

   it("that zstrdup can't copy", function()
      for _, value in ipairs {"x\0", "\0", 1, 1.5, true, {}, print, io.stdout} do
         refuses("zstrdup", "string", zmalloc.zstrdup, value)
      end
   end)
end)

describe("a block", function()
   for _, case in ipairs(blocks) do
      local call, argument, use = table.unpack(case)

      it("that is none: " .. call, function()
         for _, value in ipairs {0, 1, "x", true, {}, print, io.stdout, coroutine.create(function() end)} do
            refuses(call, argument, use, value)
         end
      end)

      it("that is freed: " .. call, function()
         local function free_with_size(block)
            zmalloc.zfree_with_size(block, #block)
         end
         for _, free in ipairs {
            zmalloc.zfree, zmalloc.zfree_usable, zmalloc.zfree_no_tcache, free_with_size, spare().close,
         } do
            local block = spare()
            free(block)
            refuses(call, argument, use, block)
         end
      end)
   end

   it("that is closed has nothing", function()
      local block = spare()
      block:close()
      local uses = {
         ["#"] = function() return #block end,
         ["[]"] = function() return block[1] end,
         ["tostring"] = function() return tostring(block) end,
         ["get"] = function() return block:get() end,
         ["set"] = function() return block:set(1, "") end,
         ["usable"] = function() return block:usable() end,
         ["resize"] = function() return block:resize(5) end,
      }
      for name, use in pairs(uses) do
         refuses(name, "self", use)
      end
      refuses("[]", "self", function() block[1] = 1 end)
   end)

   it("is the only thing that its methods take", function()
      local block = spare()
      for _, name in ipairs {"get", "set", "usable", "resize", "close"} do
         for _, value in ipairs {1, "x", {}, io.stdout} do
            refuses(name, "self", block[name], value, 1, "")
         end
         refuses(name, "self", block[name])
      end
   end)

   it("has no bytes but its own", function()
      local block = spare()
      for _, i in ipairs {0, 11, -1, 1.5, math.maxinteger, "x", true, {}} do
         refuses("[]", "i", function() block[i] = 1 end)
      end
      for _, value in ipairs {-1, 256, 1.5, "1", "x", true, {}, math.maxinteger} do
         refuses("[]", "value", function() block[1] = value end)
      end
      refuses("[]", "value", function() block[1] = nil end)
      refuses("[]", "i", function() return block[1.5] end)
      assert.is_nil(block.nonsense)
      assert.is_nil(block[{}])
   end)

   it("has no strings but its own", function()
      local block = spare()
      for _, i in ipairs {0, 12, -1, 1.5, "1", true, math.maxinteger, math.mininteger} do
         refuses("get", "i", block.get, block, i)
         refuses("set", "i", block.set, block, i, "")
      end
      for _, n in ipairs {-1, 11, 1.5, "1", true, math.maxinteger, math.mininteger} do
         refuses("get", "n", block.get, block, 1, n)
      end
      refuses("get", "n", block.get, block, 6, 6)
      refuses("get", "n", block.get, block, 11, 1)
      refuses("set", "s", block.set, block, 1, ("x"):rep(11))
      refuses("set", "s", block.set, block, 11, "x")
      for _, s in ipairs {1, true, {}, spare()} do
         refuses("set", "s", block.set, block, 1, s)
      end
      refuses("set", "s", block.set, block, 1)
   end)

   it("is never a libc block", function()
      for _, value in ipairs {0, 5, "x", true, {}, io.stdout, spare()} do
         refuses("zlibc_free", "ptr", zmalloc.zlibc_free, value)
         assert.truthy(support.message(zmalloc.zlibc_free, value):find "scripts never hold a libc block")
      end
   end)

   it("hides its metatable", function()
      assert.equal("zmalloc.Block", getmetatable(spare()))
      assert.has_error(function() setmetatable(spare(), {}) end)
   end)

   it("survives what debug.getmetatable gives away", function()
      local block = spare()
      local metatable = debug.getmetatable(block)
      metatable.__gc(block)
      metatable.__gc(block)
      for _, name in ipairs {"__gc", "__close", "__len", "__tostring", "__newindex"} do
         for _, value in ipairs {0, "x", {}, io.stdout} do
            assert.has_error(function() metatable[name](value, 1, 1) end)
         end
         assert.has_error(function() metatable[name]() end)
      end
   end)
end)

describe("a handler", function()
   it("is a function or nil", function()
      for _, value in ipairs {0, "f", true, {}, io.stdout} do
         refuses("set_oom_handler", "handler", zmalloc.set_oom_handler, value)
      end
   end)
end)

describe("the number of arguments", function()
   it("is checked", function()
      for _, name in ipairs {"zmalloc", "zfree", "zrealloc", "zcalloc_num", "zmalloc_set_oom_handler", "zstrdup"} do
         assert.truthy(support.message(zmalloc[name]):find(name, 1, true))
         assert.truthy(support.message(zmalloc[name], 1, 2, 3):find(name, 1, true))
      end
      for _, name in ipairs {"zmalloc_rss", "zmalloc_purge", "zmalloc_used_memory"} do
         assert.truthy(support.message(zmalloc[name], 1):find(name, 1, true))
      end
      assert.truthy(support.message(zmalloc.Block, 1, 16, 1):find("Block: expected 1 or 2 arguments, got 3", 1, true))
   end)

   it("may be less where nil will do", function()
      assert.is_number(zmalloc.report(nil).used)
      assert.is_number(zmalloc.rss(nil))
      assert.equal(5, #zmalloc.Block(5, nil))
   end)
end)
