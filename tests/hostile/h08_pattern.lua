-- H08: a pattern that takes a minute on 800 bytes
-- expect: Sandbox.Timedout
return function()
  return (("a"):rep(800)):find(".-.-.-b")
end
