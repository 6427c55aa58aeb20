-- V42: an init phase without end has ten seconds of its own
-- expect: Sandbox.Timedout
-- timeout: 10
-- rounds: 2
while true do
end
