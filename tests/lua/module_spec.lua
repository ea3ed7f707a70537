-- SPDX-License-Identifier: BSD-3-Clause
-- The module as a file: what it exports, what it needs, and that it comes into any process.
local support = require "support"
local zmalloc = require "zmalloc"

local path = assert(package.searchpath("zmalloc", package.cpath))

describe("the module", function()
   it("is the one that was built", function()
      assert.equal(os.getenv "ZMALLOC_BUILD" .. "/bindings/lua/zmalloc.so", path)
   end)

   it("exports its entry alone", function()
      assert.truthy(support.output(("nm -D --defined-only '%s'"):format(path)):find "^%x+ T luaopen_zmalloc$")
   end)

   it("can be loaded late, and stays", function()
      local dynamic = support.output(("readelf -d '%s'"):format(path))
      assert.is_nil(dynamic:find "STATIC_TLS")
      assert.truthy(dynamic:find "NODELETE")
      for library in dynamic:gmatch "NEEDED[^\n]*%[(.-)%]" do
         assert.is_nil(library:find "liblua" or library:find "libzmalloc" or library:find "jemalloc", library)
      end
   end)

   it("comes into a plain interpreter", function()
      local command = ([[env -i LUA_CPATH='%s' '%s' -e 'io.write(require "zmalloc".allocator)' 2>&1]]):format(
         os.getenv "LUA_CPATH", os.getenv "ZMALLOC_LUA")
      assert.equal(zmalloc.allocator, support.output(command))
   end)

   it("leaves no globals, and starts at nothing", function()
      local well, text = support.script [[
         for name in pairs(_G) do
            assert(not name:find "swig" and name ~= "zmalloc", name)
         end
         print(zmalloc.used_memory())
      ]]
      assert.is_true(well, text)
      assert.equal("0\n", text)
   end)

   it("is a plain table of its names", function()
      assert.is_nil(getmetatable(zmalloc))
      assert.is_nil(zmalloc.nonsense)
      for name in pairs(zmalloc) do
         assert.is_nil(name:lower():find "swig")
         assert.not_equal("SIZE_MAX", name)
      end
   end)

   it("may be loaded again", function()
      package.loaded.zmalloc = nil
      local again = require "zmalloc"
      package.loaded.zmalloc = zmalloc
      assert.equal(zmalloc.allocator, again.allocator)
      local block = again.Block(10)
      assert.equal(10, #block)
      assert.is_true(zmalloc.zmalloc_usable_size(block) >= 10)
      block:close()
   end)

   it("does no harm when Lua ends before its blocks", function()
      local well, text = support.script [[
         kept = {zmalloc.Block(100), zmalloc.zmalloc(5)}
         zmalloc.set_oom_handler(print)
      ]]
      assert.is_true(well, text)
   end)
end)
