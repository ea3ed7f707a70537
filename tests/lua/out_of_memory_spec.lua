-- SPDX-License-Identifier: BSD-3-Clause
-- When there is no memory: handlers written in Lua, and a Lua error without one.
local support = require "support"
local zmalloc = require "zmalloc"

local huge = support.huge
local huge_text = ("%d"):format(huge)
local larger_text = ("%d"):format(huge + 1)

-- Everything that may call the handler, asking for huge.
local failing = {
   zmalloc.Block,
   zmalloc.zmalloc,
   zmalloc.zmalloc_usable,
   zmalloc.zmalloc_no_tcache,
   zmalloc.zcalloc,
   zmalloc.zcalloc_usable,
   function(size) return zmalloc.zcalloc_num(2, size / 2) end,
   function(size) return zmalloc.zrealloc(nil, size) end,
   function(size) return zmalloc.zrealloc(zmalloc.Block(1), size) end,
   function(size) return zmalloc.zrealloc_usable(zmalloc.Block(1), size) end,
   function(size) return zmalloc.Block(1):resize(size) end,
   function(size) return zmalloc.zaligned_alloc(64, size) end,
   function(size) return zmalloc.zaligned_alloc_usable(64, size) end,
   function(size) return zmalloc.Block(size, 64) end,
}

describe("without memory", function()
   local before

   before_each(function()
      before = support.used()
   end)

   after_each(function()
      zmalloc.set_oom_handler(nil)
      assert.equal(before, support.used())
   end)

   it("there is an error that tells the size", function()
      for _, fail in ipairs(failing) do
         local expected = ": can't allocate a size of " .. huge_text .. " bytes"
         assert.truthy(support.message(fail, huge):find(expected, 1, true))
      end
   end)

   it("xpcall's handler sees it, which Lua's own error for want of memory does not reach", function()
      for _, fail in ipairs(failing) do
         local seen
         assert.is_false(xpcall(function() fail(huge) end, function(message) seen = message end))
         assert.truthy(seen:find(huge_text, 1, true))
      end
   end)

   it("a handler is told the size, and may return", function()
      for _, fail in ipairs(failing) do
         local told = {}
         zmalloc.set_oom_handler(function(...) told[#told + 1] = {...} end)
         assert.truthy(support.message(fail, huge):find(huge_text, 1, true))
         assert.same({{huge}}, told)
         assert.equal("integer", math.type(told[1][1]))
      end
   end)

   it("what a handler raises comes out as it is", function()
      for _, fail in ipairs(failing) do
         local error_value = {}
         zmalloc.zmalloc_set_oom_handler(function() error(error_value) end)
         assert.is_true(rawequal(error_value, support.message(fail, huge)))
         zmalloc.set_oom_handler(function() error() end)
         assert.equal(select(2, pcall(error)), support.message(fail, huge)) -- from 5.5 on a text in place of nil
      end
   end)

   it("calls work again after an error", function()
      zmalloc.set_oom_handler(function(size) error({size}) end)
      assert.same({huge}, support.message(zmalloc.zmalloc, huge))
      assert.equal(10, #zmalloc.zmalloc(10))
      assert.equal("x\0", zmalloc.zstrdup("x"):get())
   end)

   it("an overflowing product is told as the largest size", function()
      local told
      zmalloc.set_oom_handler(function(size) told = size end)
      assert.has_error(function() zmalloc.zcalloc_num(0x10000000000, 0x10000000000) end)
      assert.equal(2.0^64, told)
   end)

   it("the try calls do not call it", function()
      zmalloc.set_oom_handler(error)
      assert.is_nil(zmalloc.ztrymalloc(huge))
      assert.is_nil(zmalloc.ztrycalloc(huge))
      assert.is_nil(zmalloc.ztryrealloc(nil, huge))
      assert.is_nil(zmalloc.ztryaligned_alloc(64, huge))
      assert.same({nil, 0}, {zmalloc.ztryaligned_alloc_usable(64, huge)})
      assert.same({nil, 0}, {zmalloc.ztrymalloc_usable(huge)})
      assert.same({nil, 0}, {zmalloc.ztrycalloc_usable(huge)})
   end)

   it("a handler that fails itself is not called again", function()
      local told = {}
      zmalloc.set_oom_handler(function(size)
         told[#told + 1] = size
         zmalloc.zmalloc(huge + 1)
      end)
      for _ = 1, 2 do
         assert.truthy(support.message(zmalloc.zmalloc, huge):find(larger_text, 1, true))
      end
      assert.same({huge, huge}, told)
   end)

   it("a handler may swallow its own failure", function()
      zmalloc.set_oom_handler(function() pcall(zmalloc.zmalloc, huge + 1) end)
      local expected = "Block: can't allocate a size of " .. huge_text
      assert.truthy(support.message(zmalloc.Block, huge):find(expected, 1, true))
   end)

   it("a handler may allocate, free and go", function()
      local kept = zmalloc.Block(1000)
      zmalloc.set_oom_handler(function()
         kept:close()
         kept = zmalloc.Block(10)
         zmalloc.set_oom_handler(nil)
      end)
      assert.truthy(support.message(zmalloc.zmalloc, huge):find "can't allocate")
      assert.equal(10, #kept)
   end)

   it("a handler runs in a coroutine that asks", function()
      local thread
      zmalloc.set_oom_handler(function(size)
         thread = coroutine.running()
         error({size})
      end)
      local asking = coroutine.create(function() zmalloc.zmalloc(huge) end)
      assert.same({false, {huge}}, {coroutine.resume(asking)})
      assert.equal(asking, thread)
   end)

   it("a handler may run coroutines that fail, but can't yield", function()
      zmalloc.set_oom_handler(function()
         local other = coroutine.wrap(function() return pcall(zmalloc.zmalloc, huge + 1) end)
         assert(other() == false)
         coroutine.yield()
      end)
      local asking = coroutine.wrap(function() return pcall(zmalloc.zmalloc, huge) end)
      local ok, message = asking()
      assert.is_false(ok)
      assert.truthy(message:find "yield")
   end)

   it("nothing aborts", function()
      for _, handler in ipairs {"nil", "print", "error", "function(size) zmalloc.zmalloc(size) end"} do
         local well, text = support.script(([[
            zmalloc.set_oom_handler(%s)
            for _ = 1, 100 do
               assert(not pcall(zmalloc.zmalloc, %d))
            end
         ]]):format(handler, huge))
         assert.is_true(well, text)
         assert.is_nil(text:find "zmalloc: out of memory")
      end
   end)
end)
