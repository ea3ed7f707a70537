-- SPDX-License-Identifier: BSD-3-Clause
-- Ends of values, coroutines, modules and states, in the wrong order: nothing crashes, no byte is lost.
local support = require "support"

local help = ([[
   local huge = %.0f
   local function fails(f, ...)
      local ok, message = pcall(f, ...)
      assert(not ok, "did not fail")
      return message
   end
   local function used()
      collectgarbage()
      collectgarbage()
      collectgarbage()
      return zmalloc.used_memory()
   end
   -- A value that Lua calls this for when it goes, in every Lua.
   local function at_end(f)
      if newproxy then
         local proxy = newproxy(true)
         getmetatable(proxy).__gc = f
         return proxy
      end
      return setmetatable({}, {__gc = f})
   end
   local unpack = table.unpack or unpack
   local start = used()
]]):format(support.huge)

local endings = {
   ["an owner is resurrected, and its Block with it"] = [[
      local kept = {}
      do
         local block = zmalloc.Block(1000)
         local owner = at_end(function() kept[1] = block end)
         block, owner = nil, nil
      end
      local function make()
         local block = zmalloc.Block(1000)
         at_end(function()
            kept[#kept + 1] = block
            pcall(block.resize, block, 5000)
            pcall(block.set, block, 1, "x")
         end)
      end
      for _ = 1, 100 do make() end
      collectgarbage()
      for _, block in pairs(kept) do
         local ok, length = pcall(function() return #block end)
         assert(not ok or length == 5000 or length == 1000)
         block:close()
         fails(block.usable, block)
      end
      kept, make = nil, nil
      assert(used() == start)
   ]],
   ["Blocks in cycles and weak tables are forgotten"] = [[
      local weak = setmetatable({}, {__mode = "k"})
      local values = setmetatable({}, {__mode = "v"})
      for i = 1, 1000 do
         local block = zmalloc.Block(i)
         local cycle = {block}
         cycle[2] = cycle
         weak[block] = i
         values[i] = block
      end
      collectgarbage()
      collectgarbage()
      assert(next(values) == nil)
      weak = nil
      assert(used() == start)
   ]],
   ["a Block is closed by a finaliser while its bytes are copied"] = [[
      for _, size in ipairs {100, 200, 5000, 100000} do
         for round = 1, 20 do
            local block, other = zmalloc.Block(2 * size), nil
            block:set(1, ("x"):rep(2 * size))
            local function copy(i)
               block[1], block[2] = i % 256, math.floor(i / 256) % 256
               return block:get(1, size + (i + round) % size)
            end
            at_end(function()
               block:close()
               other = zmalloc.Block(2 * size)
               other:set(1, ("y"):rep(2 * size))
            end)
            local i = 0
            while not other do -- all that is allocated are the copies; the same text twice would be one string
               i = i + 1
               local ok, text = pcall(copy, i)
               assert(not ok or not text:find("[^x]", 3), "the bytes are not the Block's")
            end
            other:close()
         end
      end
      assert(used() == start)
   ]],
   ["coroutines are left in the middle"] = [[
      for i = 1, 1000 do
         local co = coroutine.wrap(function()
            local block = zmalloc.Block(100)
            zmalloc.set_oom_handler(function(size) coroutine.yield(size) end)
            pcall(zmalloc.zmalloc, huge)
            coroutine.yield(block)
            block:close()
         end)
         assert(#co() == 100)
      end
      zmalloc.set_oom_handler(nil)
      assert(used() == start)
   ]],
   ["a handler is set in a coroutine that is gone"] = [[
      coroutine.wrap(function()
         local keep = zmalloc.Block(100)
         zmalloc.set_oom_handler(function(size) keep:resize(200) error({size}) end)
      end)()
      collectgarbage()
      for _ = 1, 100 do
         assert(fails(zmalloc.zmalloc, huge)[1] == huge)
         assert(fails(coroutine.wrap(function() zmalloc.zmalloc(huge) end)))
      end
      zmalloc.set_oom_handler(nil)
      assert(used() == start)
   ]],
   ["a handler recurses without end"] = [[
      local function handler(size) return 1 + handler(size) end
      zmalloc.set_oom_handler(handler)
      for _ = 1, 3 do
         assert(tostring(fails(zmalloc.zmalloc, huge)):find "stack overflow")
      end
      zmalloc.set_oom_handler(nil)
      local function nest(depth)
         return coroutine.wrap(function() return nest(depth + 1), zmalloc.Block(10) end)()
      end
      if not jit then -- by itself, LuaJIT crashes where coroutines are nested without end
         fails(nest, 1)
      end
      assert(used() == start)
   ]],
   ["a handler is let go while it runs"] = [[
      for _ = 1, 100 do
         zmalloc.set_oom_handler(function(size)
            zmalloc.set_oom_handler(nil)
            collectgarbage()
            zmalloc.set_oom_handler(function() error "another" end)
            zmalloc.zmalloc(size)
         end)
         fails(zmalloc.zmalloc, huge)
         assert(fails(zmalloc.zmalloc, huge):find "another")
      end
      zmalloc.set_oom_handler(nil)
      assert(used() == start)
   ]],
   ["finalisers ask for more than there is"] = [[
      local told = 0
      zmalloc.set_oom_handler(function() told = told + 1 end)
      for _ = 1, 100 do
         at_end(function()
            fails(zmalloc.zmalloc, huge)
            zmalloc.Block(100):resize(200)
         end)
      end
      collectgarbage()
      collectgarbage()
      assert(told >= 99, told)
      zmalloc.set_oom_handler(nil)
      assert(used() == start)
   ]],
   ["errors carry Blocks"] = [[
      for i = 1, 1000 do
         local block = fails(function() error(zmalloc.Block(i)) end)
         assert(#block == i)
         zmalloc.set_oom_handler(function() error(block) end)
         assert(rawequal(fails(zmalloc.zmalloc, huge), block))
      end
      zmalloc.set_oom_handler(nil)
      assert(used() == start)
   ]],
   ["the module is loaded again"] = [[
      local old, block = zmalloc, zmalloc.Block(100)
      local told = 0
      zmalloc.set_oom_handler(function() told = told + 1 end)
      for i = 1, 20 do
         package.loaded.zmalloc = nil
         local new = require "zmalloc"
         assert(new ~= old)
         fails(old.zmalloc, huge)
         fails(new.zmalloc, huge)
         assert(told == 2 * i)
         new.zrealloc(block, 100 + i)
         old.zfree(new.Block(10))
         new.Block(10):close()
         local scope = new.track()
         local other = old.zmalloc_usable(10)
         assert(scope.kept == new.zmalloc_size(other))
         other:close()
         assert(#new.mappings() > 5)
      end
      zmalloc.set_oom_handler(nil)
      assert(#block == 120)
      block:close()
      assert(used() == start)
   ]],
   ["the module's own names are taken from it"] = [[
      local block, used_memory = zmalloc.Block(100), zmalloc.used_memory
      for name in pairs(zmalloc) do zmalloc[name] = nil end
      package.loaded.zmalloc = nil
      zmalloc = nil
      block:resize(5000)
      block:close()
      collectgarbage()
      assert(used_memory() == start)
   ]],
   ["everything is alive at the end"] = [[
      at_the_end = at_end(function()
         kept[1]:close()
         fails(zmalloc.zmalloc, huge)
         local block = zmalloc.Block(100)
         block:resize(5000)
         kept[#kept + 1] = zmalloc.Block(10)
         at_end(function() zmalloc.Block(10) end)
      end)
      kept = {zmalloc.Block(100), zmalloc.zmalloc(10)}
      zmalloc.set_oom_handler(function() kept[2]:resize(20) end)
      scope = zmalloc.track()
      co = coroutine.wrap(function() local block = zmalloc.Block(10) coroutine.yield() return block end)
      co()
   ]],
   ["everything is alive at an exit that closes"] = [[
      kept = {zmalloc.Block(100)}
      at_the_end = at_end(function() kept[1]:resize(200) zmalloc.Block(10) end)
      zmalloc.set_oom_handler(function() os.exit(0, true) end)
      coroutine.wrap(function() zmalloc.zmalloc(huge) end)()
   ]],
   ["the end is an error"] = [[
      kept = {zmalloc.Block(100)}
      at_the_end = at_end(function() error(zmalloc.Block(100)) end)
      zmalloc.set_oom_handler(function() error(kept) end)
   ]],
}

describe("at an ending", function()
   for name, code in pairs(endings) do
      it("nothing crashes: " .. name, function()
         local well, text = support.script(help .. code)
         assert.is_true(well, text)
         if not name:find "error" then
            assert.equal("", text)
         end
      end)
   end
end)
