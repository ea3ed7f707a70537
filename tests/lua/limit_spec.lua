-- SPDX-License-Identifier: BSD-3-Clause
-- Limits on the bytes in use, and the handlers that are called at them.
local zmalloc = require "zmalloc"

local makers = {
   ["Block"] = function(size) return zmalloc.Block(size) end,
   ["aligned Block"] = function(size) return zmalloc.Block(size, 64) end,
   ["zmalloc"] = zmalloc.zmalloc,
   ["zcalloc"] = zmalloc.zcalloc,
   ["zmalloc_usable"] = zmalloc.zmalloc_usable,
   ["zaligned_alloc"] = function(size) return zmalloc.zaligned_alloc(64, size) end,
   ["zstrdup"] = function(size) return zmalloc.zstrdup(("x"):rep(size)) end,
   ["zrealloc"] = function(size) return zmalloc.zrealloc(nil, size) end,
   ["resize"] = function(size) return zmalloc.Block(10):resize(size) end,
}

local function used()
   collectgarbage()
   collectgarbage()
   return zmalloc.used_memory()
end

describe("limits", function()
   local before
   before_each(function() before = used() end)
   after_each(function()
      zmalloc.set_limit(nil)
      zmalloc.set_soft_limit(nil)
      zmalloc.set_oom_handler(nil)
      assert.equal(before, used())
   end)

   for name, make in pairs(makers) do
      it("are kept to by " .. name, function()
         zmalloc.set_limit(used() + 1000000)
         local ok, message = pcall(make, 1100000)
         assert.is_false(ok)
         local size, limit, in_use = message:match(
            "can't allocate a size of (%d+) bytes: the limit of (%d+) bytes refused it, with (%d+) in use$")
         assert.is_true(tonumber(size) >= 1100000, message)
         assert.equal(zmalloc.limit(), tonumber(limit))
         assert.is_true(tonumber(in_use) >= zmalloc.limit() - 1000000 and tonumber(in_use) < zmalloc.limit())
         make(500000)
      end)

      it("of the soft kind are told of by " .. name, function()
         zmalloc.set_soft_limit(used() + 100000, function() error("passed", 0) end)
         local ok, message = pcall(make, 200000)
         assert.is_false(ok)
         assert.equal("passed", message)
      end)
   end

   it("are told and end with their scopes", function()
      assert.equal(math.huge, zmalloc.limit())
      local outer = zmalloc.limit(before + 5000000)
      assert.equal(before + 5000000, zmalloc.limit())
      local inner = zmalloc.limit(math.huge)
      assert.equal(math.huge, zmalloc.limit())
      inner.stop()
      inner.stop()
      assert.equal(before + 5000000, zmalloc.limit())
      outer.stop()
      assert.equal(math.huge, zmalloc.limit())
   end)

   it("let blocks shrink", function()
      local block = zmalloc.Block(100000)
      zmalloc.set_limit(1)
      block:resize(1000)
      assert.is_false(pcall(block.resize, block, 2000))
      assert.equal(1000, #block)
      block:close()
   end)

   it("ask a handler that frees again, and not for ever", function()
      local cache, calls = {}, 0
      for i = 1, 9 do
         cache[i] = zmalloc.Block(100000)
      end
      zmalloc.set_oom_handler(function()
         calls = calls + 1
         local block = table.remove(cache)
         if block then
            block:close()
         end
         return block ~= nil
      end, true)
      zmalloc.set_limit(zmalloc.used_memory() + 50000)
      local block = zmalloc.Block(400000)
      assert.equal(9 - calls, #cache)
      assert.is_true(calls >= 3 and calls <= 5)
      assert.is_false(pcall(zmalloc.Block, 4000000))
      assert.equal(0, #cache)
      block:close()

      calls = 0
      zmalloc.set_oom_handler(function()
         calls = calls + 1
         return true
      end, true)
      assert.is_false(pcall(zmalloc.Block, 4000000))
      assert.equal(zmalloc.ZMALLOC_MOST_RETRIES + 1, calls)
   end)

   it("don't let a handler free what is being resized", function()
      local block = zmalloc.Block(1000)
      block:set(1, "kept")
      zmalloc.set_limit(zmalloc.used_memory())
      zmalloc.set_oom_handler(function()
         block:close()
         return true
      end, true)
      for _, resize in ipairs {block.resize, zmalloc.zrealloc} do
         assert.is_false(pcall(resize, block, 100000))
         assert.equal("kept", block:get(1, 4))
         assert.equal(1000, #block)
      end
      block:close()
   end)

   it("of the soft kind call once until memory is low again", function()
      local told, soft = {}, before + 1000000
      zmalloc.set_soft_limit(soft, function(bytes) told[#told + 1] = bytes end, 500000)
      assert.equal(soft, zmalloc.soft_limit())
      for round = 1, 3 do
         local blocks = {}
         for i = 1, 30 do
            blocks[i] = zmalloc.Block(50000)
            assert.equal(zmalloc.used_memory() > soft and round or round - 1, #told)
         end
         for _, block in ipairs(blocks) do
            block:close()
         end
      end
      zmalloc.set_soft_limit(nil)
      assert.equal(math.huge, zmalloc.soft_limit())
   end)

   it("of the soft kind don't call a handler that runs, nor tell it of what it has freed again", function()
      local told = 0
      local kept = zmalloc.Block(1000000)
      zmalloc.set_soft_limit(zmalloc.used_memory() + 50000, function()
         told = told + 1
         kept:close()
         zmalloc.Block(100):close()
         zmalloc.Block(2000000):close()
         assert.equal(1, told)
      end)
      local block = zmalloc.Block(100000)
      zmalloc.Block(10):close()
      assert.equal(1, told)
      block:close()
   end)

   it("of the soft kind call a handler after the next call where it keeps what passes them", function()
      local told = {}
      local kept = zmalloc.Block(1000000)
      zmalloc.set_soft_limit(zmalloc.used_memory() + 50000, function(bytes)
         told[#told + 1] = bytes
         kept:close()
         kept = #told == 1 and zmalloc.Block(2000000)
      end)
      local block = zmalloc.Block(100000)
      assert.equal(1, #told)
      zmalloc.Block(10):close()
      assert.equal(2, #told)
      assert.truthy(told[2] > 2000000)
      zmalloc.Block(10):close()
      assert.equal(2, #told)
      block:close()
   end)

   it("of the soft kind call a handler again that has raised", function()
      local told = 0
      zmalloc.set_soft_limit(before + 50000, function()
         told = told + 1
         error("too much", 0)
      end)
      for round = 1, 2 do
         assert.same({false, "too much"}, {pcall(zmalloc.Block, 100000)})
         assert.equal(round, told)
         collectgarbage()
         zmalloc.Block(20000):close()
      end
   end)
end)
