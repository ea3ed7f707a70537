-- SPDX-License-Identifier: BSD-3-Clause
-- What the tests of the Lua module share.
local zmalloc = require "zmalloc"

local support = {}

-- The text of a file, or nil and why not.
function support.read(path)
   local file, why = io.open(path)
   if not file then
      return nil, why
   end
   local text, problem = file:read "a"
   file:close()
   return text, problem
end

-- What a command prints, without the newline at the end.
function support.output(command)
   local pipe <close> = assert(io.popen(command))
   return (pipe:read "a":gsub("\n$", ""))
end

-- Starts a command, has its process stand still and returns its number.
function support.start_stopped(command)
   local start = ("%s >/dev/null & pid=$!; sleep 0.2; kill -STOP $pid; echo $pid"):format(command)
   local pid = math.tointeger(support.output(start))
   repeat
      local state = support.read(("/proc/%d/stat"):format(pid)):match "^.*%) (%a)"
   until state == "T"
   return pid
end

-- How many files this process has open; no pipes, of which the question itself has some.
function support.open_files()
   return support.output(("ls -l /proc/%d/fd | grep -vc pipe:"):format(zmalloc.get_proc_stat_ll(1)))
end

-- How many fields a table has.
function support.count(t)
   local count = 0
   for _ in pairs(t) do
      count = count + 1
   end
   return count
end

-- Runs Lua code in a process of its own; true if that ended well, and what it printed.
function support.script(code)
   local name = os.tmpname()
   local file = assert(io.open(name, "w"))
   file:write('local zmalloc = require "zmalloc"\n', code)
   file:close()
   local pipe = assert(io.popen(("'%s' '%s' 2>&1"):format(os.getenv "ZMALLOC_LUA", name)))
   local text = pipe:read "a"
   local well = pipe:close()
   os.remove(name)
   return well == true, text
end

-- The bytes in use once all that is garbage is gone.
function support.used()
   collectgarbage()
   collectgarbage()
   return zmalloc.used_memory()
end

-- Calls f, which must fail, and returns the message.
function support.message(f, ...)
   local ok, message = pcall(f, ...)
   assert(not ok, "no error")
   return message
end

-- f must fail with a message that names the call and the argument.
function support.refuses(call, argument, f, ...)
   local message = support.message(f, ...)
   local start = ("%s: argument '%s' "):format(call, argument)
   if not message:find(start, 1, true) then
      error(("%q does not say %q"):format(message, start), 2)
   end
end

return support
