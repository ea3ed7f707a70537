-- SPDX-License-Identifier: BSD-3-Clause
-- Lua code that runs in the middle of a call (a handler, a finaliser, another coroutine) finds nothing half done, and
-- can't take away what the call is at work on.
local support = require "support"
local zmalloc = require "zmalloc"

local text = ("abcde"):rep(200)

-- What takes a block's memory, moves it, reads it or hands it on.
local uses = {
   close = function(block) block:close() end,
   resize = function(block) block:resize(10) end,
   get = function(block) return block:get() end,
   set = function(block) block:set(1, "x") end,
   index = function(block) return block[1] end,
   newindex = function(block) block[1] = 1 end,
   length = function(block) return #block end,
   text = function(block) return tostring(block) end,
   usable = function(block) return block:usable() end,
   zfree = zmalloc.zfree,
   zfree_usable = zmalloc.zfree_usable,
   zfree_with_size = function(block) zmalloc.zfree_with_size(block, 1000) end,
   zfree_no_tcache = zmalloc.zfree_no_tcache,
   zrealloc = function(block) return zmalloc.zrealloc(block, 10) end,
   ztryrealloc = function(block) return zmalloc.ztryrealloc(block, 10) end,
   extend_to_usable = function(block) return zmalloc.extend_to_usable(block, 1000) end,
   zmadvise_dontneed = zmalloc.zmadvise_dontneed,
   zmalloc_size = zmalloc.zmalloc_size,
}

local resizes = {
   resize = function(block, size) block:resize(size) end,
   zrealloc = zmalloc.zrealloc,
   zrealloc_usable = zmalloc.zrealloc_usable,
}

-- A value whose finaliser runs the function.
local function finalised(at_end)
   if newproxy then -- 5.1, which finalises no tables
      local proxy = newproxy(true) -- luacheck: ignore 113
      getmetatable(proxy).__gc = at_end
      return proxy
   end
   return setmetatable({}, {__gc = at_end})
end

local function refused(use, block)
   local message = support.message(use, block)
   assert(message:find "is a Block that is being resized", message)
end

describe("in the middle of a call", function()
   local before, block

   before_each(function()
      before = support.used()
      block = zmalloc.Block(1000)
      block:set(1, text)
      zmalloc.set_limit(zmalloc.used_memory() + 1000)
   end)

   after_each(function()
      zmalloc.set_oom_handler(nil)
      zmalloc.set_limit(nil)
      zmalloc.set_soft_limit(nil)
      block:close()
      assert.equal(before, support.used())
   end)

   for call, resize in pairs(resizes) do
      for _, retry in ipairs {false, true} do
         it(("a handler can't use what is being resized: %s, %s"):format(call, tostring(retry)), function()
            local asked = 0
            zmalloc.set_oom_handler(function(size)
               asked = asked + 1
               assert(size == 5000)
               for _, use in pairs(uses) do
                  refused(use, block)
                  coroutine.wrap(refused)(use, block)
                  finalised(function() refused(use, block) end)
               end
               collectgarbage()
               if asked == 3 then
                  zmalloc.set_limit(nil)
               end
               return true
            end, retry)
            assert.equal(retry, (pcall(resize, block, 5000)))
            assert.equal(retry and 3 or 1, asked)
            assert.equal(text, block:get(1, 1000))
            assert.equal(retry and 5000 or 1000, #block)
         end)

         it(("what a handler is refused reaches the call: %s, %s"):format(call, tostring(retry)), function()
            zmalloc.set_oom_handler(function() block:close() end, retry)
            local message = support.message(resize, block, 5000)
            assert.truthy(message:find "close: argument 'self' is a Block that is being resized")
            assert.equal(text, block:get())
         end)
      end
   end

   it("the coroutine that asked is asked again", function()
      local asked, threads = 0, {}
      zmalloc.set_oom_handler(function()
         asked = asked + 1
         threads[asked] = coroutine.running()
         local other = coroutine.create(function() return zmalloc.Block(16) end)
         assert(coroutine.resume(other))
         other = nil -- luacheck: ignore 311
         collectgarbage()
         for i = 1, 200 do -- over what the coroutine has left
            threads[asked .. i] = ("x"):rep(100 + i)
         end
         return asked < 60
      end, true)
      local asking = coroutine.create(function() return pcall(zmalloc.Block, 6000000) end)
      local _, ok, message = coroutine.resume(asking)
      assert.is_false(ok)
      assert.truthy(message:find "^Block: can't allocate a size of 6000000 bytes")
      assert.equal(60, asked)
      for i = 1, asked do
         assert.equal(asking, threads[i])
      end
   end)

   it("an error reaches the coroutine that asked", function()
      local thrown = {}
      zmalloc.set_oom_handler(function()
         local other = coroutine.wrap(function()
            assert(not pcall(zmalloc.Block, 7000000))
            return zmalloc.Block(16)
         end)
         other():close()
         collectgarbage()
         error(thrown)
      end, true)
      local asking = coroutine.create(function() zmalloc.Block(6000000) end)
      local ok, caught = coroutine.resume(asking)
      assert.is_false(ok)
      assert.is_true(rawequal(thrown, caught))
      assert.equal("dead", coroutine.status(asking))
   end)

   it("a handler may set another, which is for the next request", function()
      local told = {}
      zmalloc.set_oom_handler(function()
         told[#told + 1] = "first"
         zmalloc.set_oom_handler(function()
            told[#told + 1] = "second"
            zmalloc.set_oom_handler(nil)
            return true
         end, true)
         return true
      end)
      for _, expected in ipairs {"first", "first second", "first second"} do
         assert.is_false(pcall(zmalloc.Block, 6000000))
         assert.equal(expected, table.concat(told, " "))
      end
   end)

   it("a handler that was not to answer can't have its block swapped away", function()
      zmalloc.set_oom_handler(function()
         pcall(block.close, block)
         zmalloc.set_limit(nil)
         zmalloc.set_oom_handler(function() return true end, true)
         return true
      end)
      assert.is_false(pcall(block.resize, block, 5000))
      assert.equal(text, block:get())
   end)

   it("finalisers may close what a call is about to fill", function()
      local closed = 0
      zmalloc.set_limit(nil)
      for _ = 1, 200 do
         local other = zmalloc.Block(100)
         finalised(function()
            other:close()
            closed = closed + 1
         end)
         zmalloc.zstrdup(text):close()
         zmalloc.zmalloc_usable(10):close()
      end
      collectgarbage()
      assert.is_true(closed > 0)
   end)

   it("a state that a handler closes ends in order", function()
      local well, said = support.script [[
         local block = zmalloc.Block(10)
         zmalloc.set_limit(zmalloc.used_memory())
         zmalloc.set_oom_handler(function() os.exit(newproxy and 0 or true, true) end, true)
         block:resize(10000)
      ]]
      assert.is_true(well, said)
   end)
end)
