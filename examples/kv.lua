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

-- Prints where the memory is, in the words of Redis's INFO; the differences and used_memory add up to RSS.
local function report(stage, store)
   local memory = zmalloc.report(true)
   local ratio = memory.mem_fragmentation_ratio
   print(("# %s, %d words"):format(stage, count(store)))
   print("used_memory:" .. memory.used)
   for _, name in ipairs {"allocator_overhead", "allocator_frag", "allocator_rss", "rss_overhead"} do
      print(("%s_bytes:%s"):format(name, memory[name .. "_bytes"] or "unknown"))
   end
   print("used_memory_rss:" .. memory.rss)
   print("used_memory_private_dirty:" .. memory.private_dirty)
   print("mem_fragmentation_ratio:" .. (ratio and ("%.2f"):format(ratio) or "unknown"))
   print("mem_allocator:" .. zmalloc.allocator)
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
local returned = zmalloc.purge()
report("Purged", store)
print("returned:" .. returned)
