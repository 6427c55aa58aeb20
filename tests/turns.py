"""Which files run side by side when pytest has more than one process (-n 2), and which wait for their turn.

A file is never divided: its tests share a server. Files of HEAVY begin, because what begins last keeps
the others waiting; then come the rest. When all of those are done, one process goes on with ALONE, whose
tests bound times or fill the processors, and at last with what reads what the others left behind.
Without -n the order is the same.
"""
import pathlib

HEAVY = ("test_browser.py", "test_s3_clients.py", "test_s3.py", "test_tutorial.py", "test_backup.py", "test_sync.py", "test_service.py",
         "test_store_cuts.py", "test_powercut.py", "test_disk.py", "test_crash.py", "test_s3_bodies.py", "test_schedules.py", "test_lambda.py",
         "test_runners.py", "test_stop.py", "test_js.py")
ALONE = ("test_hostile.py", "test_limits.py")
LAST = ("test_model.py",)


def turn(nodeid):
    """What a test is sorted by: 0 side by side, 1 alone, 2 at the end; and the place among those."""
    name = pathlib.PurePath(nodeid.split("::")[0]).name
    if name in LAST:
        return 2, 0
    if name in ALONE:
        return 1, ALONE.index(name)
    return 0, HEAVY.index(name) if name in HEAVY else len(HEAVY)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: turn(item.nodeid))  # stable: a file's tests stay together and in order


def scheduler(config, log):
    """xdist's scheduler by files, which keeps what must be alone until one process is left."""
    from xdist.scheduler import LoadFileScheduling

    class Turns(LoadFileScheduling):
        def _assign_work_unit(self, node):
            if turn(next(iter(self.workqueue)))[0] > 0:
                others = [n for n in self.nodes if n is not node]
                if any(not n.shutting_down for n in others):
                    node.shutdown()  # it ends what it has; another goes on
                    return
                if any(self._pending_of(self.assigned_work[n]) for n in others):
                    return  # mark_test_complete comes back to it
            super()._assign_work_unit(node)

        def mark_test_complete(self, node, item_index, duration=0):
            super().mark_test_complete(node, item_index, duration)
            for other in [n for n in self.nodes if n is not node and not n.shutting_down]:
                self._reschedule(other)

    return Turns(config, log)
