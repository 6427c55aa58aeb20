-- secrets: values that only functions can read. What was read is masked in this function's log from
-- then on.
local core, env = ...

local call, check, n, mask = core.call, core.check, core.numbers, core.mask
local GET, NAME = n["secrets.get"], n.name

env.secrets = {
  get = function(name)
    local result, err = call(GET, NAME, check.need("secrets.get", 1, name, "string"))
    if not result then
      return nil, err
    end
    mask(result.value)
    return result.value
  end,
}
