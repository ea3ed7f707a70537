-- SPDX-License-Identifier: BSD-3-Clause
-- What language servers are told of the module is so: its names, its arguments, and what it answers.
local support = require "support"
local zmalloc = require "zmalloc"

local path = os.getenv "ZMALLOC_BUILD" .. "/bindings/lua/library/zmalloc.lua"

-- The functions, each with what is said of it; the classes, each with the kinds of its fields.
local function read()
   local functions, classes = {}, {}
   local about = {params = {}, results = {}, fields = {}}
   for line in io.lines(path) do
      local name, arguments = line:match "^function ([%w_.:]+)%((.-)%) end$"
      local tag, rest = line:match "^%-%-%-@(%l+) (.+)$"
      if name then
         about.arguments = arguments
         functions[name] = about
      elseif tag == "param" then
         table.insert(about.params, {rest:match "^([%w_]+)(%??) (.+)$"})
      elseif tag == "return" then
         table.insert(about.results, (rest:gsub("table<.->", "table"):match "^%S+"))
      elseif tag == "class" then
         classes[rest] = about.fields
      elseif tag == "field" then
         local field, kind = rest:match "^([%w_]+) (%S+)"
         about.fields[field or "[]"] = kind
      elseif line:find "^%-%-%-%S" then
         about.words = true
      elseif line == "" then
         about = {params = {}, results = {}, fields = {}}
      end
   end
   return functions, classes
end

local functions, classes = read()
local described = assert(loadfile(path))()

-- Whether a value is of a kind, as annotations name them.
local function is(value, kind)
   if kind:find "|" then
      for each in kind:gmatch "[^|]+" do
         if each == ("%q"):format(tostring(value)) or not each:find '"' and is(value, each) then
            return true
         end
      end
      return false
   elseif kind:find "%?$" then
      return value == nil or is(value, kind:sub(1, -2))
   elseif kind == "integer" then
      return math.type(value) == "integer"
   elseif kind == "zmalloc.Block" then
      return getmetatable(value) == kind
   elseif kind:find "%[%]$" then
      return #value > 0 and is(value[1], kind:sub(1, -3))
   elseif not classes[kind] then
      return type(value) == kind:gsub("^fun%(.*", "function")
   end
   for field, field_kind in pairs(classes[kind]) do
      assert.is_true(is(value[field], (field_kind:gsub("<.*", ""))), kind .. "." .. field)
   end
   if not getmetatable(value) then
      for field in pairs(value) do
         assert.truthy(classes[kind][field], kind .. "." .. field)
      end
   end
   return true
end

describe("the annotations", function()
   it("have the module's names, and no others", function()
      for name, value in pairs(zmalloc) do
         assert.equal(type(value), type(described[name]), name)
      end
      for name in pairs(described) do
         assert.is_true(zmalloc[name] ~= nil or name == "HAVE_MALLOC_SIZE", name)
      end
      assert.equal(zmalloc.ZMALLOC_VERSION, described.ZMALLOC_VERSION)
   end)

   it("have a Block's methods, and no others", function()
      local block = zmalloc.Block(1)
      for name in pairs(functions) do
         local method = name:match "^Block:(.*)$"
         assert.is_true(not method or type(block[method]) == "function", name)
      end
      local _, methods = debug.getupvalue(debug.getmetatable(block).__index, 1) -- hidden in 5.1
      for name in pairs(methods or {}) do
         assert.truthy(functions["Block:" .. name], name)
      end
   end)

   it("have words and arguments for each", function()
      assert.is_true(support.count(functions) > 70)
      for name, about in pairs(functions) do
         assert.is_true(about.words, name)
         local names = {}
         for i, param in ipairs(about.params) do
            names[i] = param[1]
         end
         assert.equal(about.arguments, table.concat(names, ", "), name)
      end
   end)

   -- What a parameter may be, where it may not be left out.
   local good = {
      size = function() return 10 end,
      num = function() return 10 end,
      alignment = function() return 64 end,
      ptr = function() return zmalloc.Block(10) end,
      i = function() return 1 end,
      s = function() return "x" end,
      field = function() return "Rss" end,
      string = function() return "text" end,
      enable = function() return 0 end,
      disable = function() return 0 end,
      dirty_ms = function() return 10000 end,
      muzzy_ms = function() return 0 end,
      handler = function() return nil end,
      bytes = function() return 0 end,
      hysteresis = function() return 0 end,
      blocks = function() return {zmalloc.Block(10)} end,
      start = function() return 0 end,
      max_us = function() return 0 end,
      interval_ms = function() return 0 end,
   }

   for name, about in pairs(functions) do
      it("know what comes of " .. name, function()
         local arguments, count = {}, 0
         for i, param in ipairs(about.params) do
            if param[2] == "" then
               arguments[i] = param[3] ~= "nil" and good[param[1]]() or nil
               count = i
            end
         end
         local method, call = name:match "^Block:(.*)$", zmalloc[name:match "^zmalloc%.(.*)$"]
         if method then
            local block = zmalloc.Block(10)
            call = function(...) return block[method](block, ...) end
         end
         local answers = table.pack(pcall(call, table.unpack(arguments, 1, count)))
         zmalloc.publish(false)
         if not answers[1] then
            local published = answers[2]:find "publishes no figures"
            assert.truthy(published or answers[2]:find "Operation not supported %(errno %d+%)$")
            return
         end
         for i, kind in ipairs(about.results) do
            assert.is_true(is(answers[i + 1], kind), ("%s: result %d is no %s"):format(name, i, kind))
         end
         local most = #about.results
         local least = most > 0 and about.results[most]:find "%?$" and most - 1 or most
         assert.is_true(answers.n - 1 <= most and answers.n - 1 >= least, name)
      end)
   end
end)
