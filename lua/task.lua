-- task: task.all runs functions side by side as far as they wait for host calls.
--
-- Each function is a coroutine of its own. In there a host call is begun and the coroutine yields;
-- the loop in task.all takes results as they come and resumes whoever waits. Everywhere else (in a
-- coroutine that the function made itself, in callbacks of the library) a host call blocks, and the
-- others go on afterwards. A task may call task.all in turn: its tasks join the same loop.
local core, env = ...

local block, begin, take = core.call, core.begin, core.take
core.block = block
local running, yield, resume = coroutine.running, coroutine.yield, coroutine.resume
local create, status, isyieldable = coroutine.create, coroutine.status, coroutine.isyieldable
local type, error, remove, setmetatable = type, error, table.remove, setmetatable

local WAITS = {} -- what a task yields when something will wake it; nobody else has it
local tasks = setmetatable({}, { __mode = "k" }) -- coroutine -> task
local waiting = {} -- id of a host call -> task
local inside = setmetatable({}, { __mode = "k" }) -- coroutine -> transaction it is in (transaction.lua)
core.inside = inside

-- Makes a task go on, with these values, when its loop comes to it.
local function wake(task, result, err)
  task.result, task.err = result, err
  local loop = task.loop
  loop.last = loop.last + 1
  loop[loop.last] = task
end

local function wait(task)
  yield(WAITS)
  local result, err = task.result, task.err
  task.result, task.err = nil, nil
  return result, err
end

-- Every host call but those that read the package (core.block).
function core.call(...)
  local co = running()
  local task, transaction = tasks[co], inside[co]
  if transaction and not transaction.calling then
    core.misuse "inside kv.transaction only the transaction's own methods can be used"
  end
  if not task or not isyieldable() then
    return block(...)
  end
  local id, err = begin(...)
  while not id do
    if err then
      return nil, err
    end
    task.loop.held[#task.loop.held + 1] = task -- all places are taken: until one is free
    wait(task)
    id, err = begin(...)
  end
  waiting[id] = task
  task.loop.open = task.loop.open + 1
  return wait(task)
end

local function ended(task, ok, value)
  local group = task.group
  task.ended = true
  tasks[task.co] = nil
  if ok then
    group.results[task.index] = value
  elseif not group.failed then
    group.failed, group.error = true, value
  end
  group.left = group.left - 1
  if group.left == 0 and group.parent then
    wake(group.parent)
  end
end

local function settle(task, ok, value)
  if status(task.co) == "dead" then
    ended(task, ok, value)
  elseif value ~= WAITS then
    wake(task) -- it yielded by itself: the others get their turn
  end
end

local function step(task)
  if not task.ended then
    settle(task, resume(task.co))
  end
end

-- Waits for one result and wakes whose it is.
local function take_one()
  local id, result, err = take()
  local task = waiting[id]
  waiting[id] = nil
  task.loop.open = task.loop.open - 1
  wake(task, result, err)
end

local function run(loop, group)
  while group.left > 0 do
    local task = loop[loop.first]
    if task then
      loop[loop.first] = nil
      loop.first = loop.first + 1
      step(task)
    elseif loop.open > 0 then
      take_one()
      local held = remove(loop.held, 1)
      if held then
        wake(held)
      end
    else
      wake(remove(loop.held, 1)) -- places are taken by another loop's tasks
      take_one()
    end
  end
end

local function add(group, loop, list)
  for i = 1, group.left do
    local task = { co = create(list[i]), index = i, group = group, loop = loop }
    tasks[task.co] = task
    wake(task)
  end
end

env.task = {
  -- The first result of each function, in their order. When all have ended, the first error is
  -- raised again.
  all = function(list)
    if type(list) ~= "table" then
      core.check.fail("task.all", 1, "a table of functions expected, got " .. type(list))
    end
    local n = #list
    for i = 1, n do
      if type(list[i]) ~= "function" then
        core.check.fail("task.all", 1, "element " .. i .. " is a " .. type(list[i]) .. ", not a function")
      end
    end
    if inside[running()] then
      core.misuse "inside kv.transaction only the transaction's own methods can be used"
    end
    local group = { left = n, results = {} }
    local parent = tasks[running()]
    if n > 0 and parent and isyieldable() then
      group.parent = parent
      add(group, parent.loop, list)
      wait(parent)
    else
      local loop = { first = 1, last = 0, open = 0, held = {} }
      add(group, loop, list)
      run(loop, group)
    end
    if group.failed then
      error(group.error, 0)
    end
    return group.results
  end,
}
