-- SPDX-License-Identifier: BSD-3-Clause
-- The key-value store of kv.c in Lua: every word of some texts and where it stands, in counted blocks.
local zmalloc = require "zmalloc"

local PLACE <const> = string.packsize("j")

-- Appends a place to the word's block.
local function note(store, word, place)
   local block = store[word]
   if block then
      block:resize(#block + PLACE)
   else
      block = zmalloc.Block(PLACE)
      store[word] = block
   end
   block:set(#block - PLACE + 1, string.pack("j", place))
end

local function load_file(store, path)
   local file <close> = assert(io.open(path))
   for place, word in file:read("a"):lower():gmatch("()(%a+)") do
      note(store, word, place)
   end
end

-- Deletes all words but every tenth.
local function thin_out(store)
   local words = {}
   for word in pairs(store) do
      words[#words + 1] = word
   end
   table.sort(words)
   for i, word in ipairs(words) do
      if i % 10 ~= 0 then
         store[word]:close()
         store[word] = nil
      end
   end
end

local function count(store)
   local n = 0
   for _ in pairs(store) do
      n = n + 1
   end
   return n
end

-- Prints where the memory is, in the words of Redis's INFO.
local function report(stage, store)
   local info = zmalloc.allocator_info()
   local used, rss = zmalloc.used_memory(), zmalloc.rss()
   print(("# %s, %d words"):format(stage, count(store)))
   print("used_memory:" .. used)
   print("used_memory_rss:" .. rss)
   for _, name in ipairs {"allocated", "active", "resident"} do
      print(("allocator_%s:%s"):format(name, info[name] or "unknown"))
   end
   print("mem_fragmentation_ratio:" .. (used > 0 and ("%.2f"):format(rss / used) or "unknown"))
   print("mem_allocator:" .. zmalloc.allocator)
   print("smaps Rss:" .. zmalloc.smaps("Rss"))
   print("smaps Private_Dirty:" .. zmalloc.smaps("Private_Dirty"))
   print()
end

-- Lua can't list a folder; these are texts that every Debian machine has.
local texts = #arg > 0 and arg or {
   "/usr/share/common-licenses/Apache-2.0",
   "/usr/share/common-licenses/Artistic",
   "/usr/share/common-licenses/GPL-1",
   "/usr/share/common-licenses/GPL-2",
   "/usr/share/common-licenses/GPL-3",
   "/usr/share/common-licenses/LGPL-2.1",
   "/usr/share/common-licenses/MPL-2.0",
}

local store = {}
report("Empty", store)
for _, path in ipairs(texts) do
   load_file(store, path)
end
report("Loaded", store)
thin_out(store)
report("Most words deleted", store)
zmalloc.purge()
report("Purged", store)
