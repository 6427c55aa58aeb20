"""Which files run side by side when pytest has more than one process (-n 3), and which wait for their turn.

A file is never divided: its tests share a server. Of three processes two keep the processors busy, and the
third has the files of WAITING, whose tests mostly wait; it ends with them. Files of HEAVY begin, because what
begins last keeps the others waiting; then come the rest. When all of those are done, one process goes on with
ALONE, whose tests bound times or fill the processors, and at last with what reads what the others left behind.
Without -n, and with two, the order is the same.
"""
import pathlib

WAITING = ("test_clock.py", "test_minute.py", "test_schedules.py", "test_lambda_limits.py", "test_http_out.py", "test_logs.py", "test_runs.py",
           "test_s3_presigned.py", "test_s3_lifecycle.py", "test_cli_commands.py", "test_stop.py", "test_usage.py", "test_turns.py",
           "test_console.py", "test_stream.py", "test_cli_dev.py", "test_trigger.py")
HEAVY = ("test_browser.py", "test_s3_clients.py", "test_s3.py", "test_tutorial.py", "test_backup.py", "test_sync.py", "test_service.py",
         "test_store_cuts.py", "test_powercut.py", "test_disk.py", "test_crash.py", "test_s3_bodies.py", "test_lambda.py",
         "test_runners.py", "test_js.py")
BEGIN = WAITING + HEAVY
ALONE = ("test_hostile.py", "test_limits.py")
LAST = ("test_model.py",)


def file_of(nodeid):
    return pathlib.PurePath(nodeid.split("::")[0]).name


def turn(nodeid):
    """What a test is sorted by: 0 side by side, 1 alone, 2 at the end; and the place among those."""
    name = file_of(nodeid)
    if name in LAST:
        return 2, 0
    if name in ALONE:
        return 1, ALONE.index(name)
    return 0, BEGIN.index(name) if name in BEGIN else len(BEGIN)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: turn(item.nodeid))  # stable: a file's tests stay together and in order


def scheduler(config, log):
    """xdist's scheduler by files, with a process for what waits, which keeps what must be alone until one process is left."""
    from xdist.scheduler import LoadFileScheduling

    class Turns(LoadFileScheduling):
        waiter = None

        def schedule(self):
            if self.collection is None and len(self.nodes) > 2:
                self.waiter = self.nodes[-1]
            super().schedule()

        def _assign_work_unit(self, node):
            beside = [unit for unit in self.workqueue if turn(unit)[0] == 0]
            waiting = [unit for unit in beside if file_of(unit) in WAITING]
            busy = [unit for unit in beside if unit not in waiting]
            if node is self.waiter and busy and not waiting:
                node.shutdown()  # a third that is busy would only be in the way
                return
            if not beside:
                others = [n for n in self.nodes if n is not node]
                if any(not n.shutting_down for n in others):
                    node.shutdown()  # it ends what it has; another goes on
                    return
                if any(self._pending_of(self.assigned_work[n]) for n in others):
                    return  # mark_test_complete comes back to it
            elif self.waiter:
                mine = waiting + busy if node is self.waiter else busy + waiting
                self.workqueue.move_to_end(mine[0], last=False)
            super()._assign_work_unit(node)

        def mark_test_complete(self, node, item_index, duration=0):
            super().mark_test_complete(node, item_index, duration)
            for other in [n for n in self.nodes if n is not node and not n.shutting_down]:
                self._reschedule(other)

    return Turns(config, log)
