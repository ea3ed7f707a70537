-- SPDX-License-Identifier: BSD-3-Clause
-- The processes that the module comes into: an interpreter whose own memory is another allocator's.
local support = require "support"

local WORKOUT = [[
   local library = ...
   local maps = io.open "/proc/self/maps"
   assert(maps:read "*a":find(library, 1, true), "not preloaded")
   maps:close()
   local before, kept, bytes = zmalloc.used_memory(), {}, 0
   for size = 1, 30000, 31 do
      local block = zmalloc.Block(size)
      block:set(1, "x")
      block:resize(2 * size)
      assert(block:get(1, 1) == "x")
      bytes = bytes + zmalloc.zmalloc_size(block)
      kept[#kept + 1] = block
   end
   assert(zmalloc.used_memory() == before + bytes)
   local threads = {}
   for i = 1, 100 do
      threads[i] = coroutine.wrap(function() coroutine.yield(zmalloc.Block(1000 * i)) end)
      threads[i]()
   end
   zmalloc.purge()
   assert(zmalloc.report(true).used >= before + bytes and zmalloc.rss() > 0 and zmalloc.smaps())
   assert(not pcall(zmalloc.Block, ]] .. ("%.0f"):format(2 ^ 52) .. [[))
   kept, threads = nil, nil
   collectgarbage()
   collectgarbage()
   assert(zmalloc.used_memory() == before)
   io.write "done"
]]

local function find(library)
   local path = support.output(("ls /usr/lib/*/%s /usr/local/lib/%s 2>/dev/null"):format(library, library))
   return path:match "^[^\n]+"
end

describe("An interpreter on another allocator", function()
   for _, library in ipairs {"libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.[23]*"} do
      it("has blocks that are counted right beside " .. library, function()
         local path = find(library)
         if not path then
            pending("no " .. library .. " here")
            return
         end
         if support.output("readlink -f " .. path):find("libmimalloc.so.3.0", 1, true) then
            pending "aligned blocks of mimalloc 3.0 overlap others"
            return
         end
         local name = library:match "^[^.]+"
         local ok, text = support.script(WORKOUT:gsub("%.%.%.", ("%q"):format(name), 1), "LD_PRELOAD=" .. path)
         assert.are.same({true, "done"}, {ok, text})
      end)
   end
end)
