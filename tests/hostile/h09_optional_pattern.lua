-- H09: thirty optional letters
-- expect: Sandbox.Timedout ok
return function()
  return (("a"):rep(30)):find(("a?"):rep(30) .. ("a"):rep(30)) and (("a"):rep(40)):find(("a-"):rep(40) .. "b")
end
