"""The thread that owns the outbox's disk: commits, deletes, reads back, drops what is too much, sets damage aside."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from edge_agender.config.settings import OutboxConfig
from edge_agender.delivery.outbox.parking import Entry
from edge_agender.delivery.outbox.queue import LOW, MessageQueue
from edge_agender.delivery.outbox.store import Row, Store, StoreDamagedError, StoreError, salvage, set_aside
from edge_agender.messages.inbound import Resend

_log = logging.getLogger(__name__)

# Deletions wait for the next commit, but not longer: losing one to a crash costs a duplicate.
DELETE_WAIT_S = 5.0
# One fsync for messages that come together, and none in the way of the second of them.
SYNC_WAIT_S = 0.2
AGE_CHECK_S = 600.0
# Kinds that come many times a second: their commits are at least `batch_s` apart.
BATCHED_KINDS = frozenset({"frame"})
_CHUNK = 500
# Commands to send again that wait, and messages that one of them brings back.
MOST_WANTED = 4
RESEND_LIMIT = 500


class Writer:
    """Moves entries between a MessageQueue, guarded by `lock`, and the store in `folder`."""

    def __init__(
        self,
        config: OutboxConfig,
        folder: Path,
        queue: MessageQueue,
        lock: threading.Condition,
        clock: Callable[[], float],
        retry_s: float,
        on_ready: Callable[[], None],
    ) -> None:
        self._config, self._folder, self._queue, self._lock = config, folder, queue, lock
        self._clock, self._retry_s, self._on_ready = clock, retry_s, on_ready
        self._store: Store | None = None
        self._started_s = clock()
        self._former_s: float | None = None
        self._last_commit_s = self._retry_at_s = self._age_check_s = self._sent_check_s = -float("inf")
        self._unsynced_since_s: float | None = None
        self._closing = False
        self.trouble: str | None = None
        self.damage: str | None = None
        self.stored = self.stored_bytes = 0
        # What is asked for again: more than this at once is a fault or an attack.
        self.wanted: deque[Resend] = deque(maxlen=MOST_WANTED)
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        self._work()
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Write what is left and close the store; give up after `timeout_s`, since a card may hang."""
        with self._lock:
            self._closing = True
            self._lock.notify_all()
        self._thread.join(timeout_s)

    # -- the thread

    def _run(self) -> None:
        while not self._closing:
            with self._lock:
                wait_s = self._due_in_s()
                if wait_s > 0 and not self._closing:
                    self._lock.wait(wait_s)
                    continue
            self._work()
        self._retry_at_s = -float("inf")
        self._work()
        if self._store:
            self._store.close()

    def _due_in_s(self) -> float:
        now_s, queue = self._clock(), self._queue
        if queue.wants_rows or (self.wanted and now_s >= self._retry_at_s):
            return 0.0
        if now_s < self._retry_at_s:
            return self._retry_at_s - now_s
        unsynced_s = self._unsynced_since_s
        sync_s = unsynced_s + SYNC_WAIT_S if unsynced_s is not None else float("inf")
        return min(self._commit_at_s(now_s), sync_s, self._age_check_s + AGE_CHECK_S) - now_s

    def _commit_at_s(self, now_s: float) -> float:
        """When the next commit is due; `lock` is held."""
        # What is asked for again may have been acknowledged only now.
        if (
            self._closing
            or self.wanted
            or any(entry.message.kind not in BATCHED_KINDS for entry in self._queue.incoming)
        ):
            return now_s
        waits_s = [self._config.batch_s] if self._queue.incoming else []
        waits_s += [DELETE_WAIT_S] if self._queue.deleting else []
        # Not infinity for no wait: added to a commit that never was, minus infinity, it is no number, and never waits.
        return self._last_commit_s + min(waits_s) if waits_s else float("inf")

    def _work(self) -> None:
        try:
            if self._store is None and self._clock() >= self._retry_at_s:
                self._store = self._open()
            if self._store is not None:
                self._work_on(self._store)
        except StoreDamagedError as error:
            self._set_aside(error)
        except StoreError as error:
            self._fail(error)
            self._let_go()
        except Exception as error:  # a mistake in here must not end the only thread that keeps messages
            _log.debug("outbox", exc_info=True)
            self._fail(StoreError(f"{self._folder}: {type(error).__name__}: {error}"))
            self._let_go()
        self._on_ready()

    def _work_on(self, store: Store) -> None:
        if self._clock() >= self._retry_at_s:
            self._write(store)
        self._refill(store)

    def _open(self) -> Store:
        store = Store(self._folder)
        if self._former_s is None:
            self._former_s = store.last_clock_s
        with self._lock:
            self._queue.disk_opened()
            self._count(store)
        return store

    def _count(self, store: Store) -> None:
        """Together with the queue's own figures, so that `state` never sees a message twice or not at all."""
        self.stored, self.stored_bytes = store.count, store.bytes

    # -- writing

    def _write(self, store: Store) -> None:
        try:
            self._commit(store)
            self._send_again(store)
            self._sync(store)
            self._drop_oldest(store)
            self._drop_sent(store)
        except StoreDamagedError:
            raise
        except StoreError as error:
            # A full disk can still be read: what is on it goes on being sent.
            self._fail(error)
        else:
            self._heal()

    def _commit(self, store: Store) -> None:
        with self._lock:
            if self.healthy and self._commit_at_s(self._clock()) > self._clock():
                return
            entries, deleting = self._queue.begin_write()
            delivered = set(self._queue.delivered) if self._config.keep_sent_days else set()
        if not entries and not deleting:
            return
        first_id = store.last_id + 1
        try:
            rows = [self._row(entry, number) for number, entry in enumerate(entries, first_id)]
            store.commit(rows, deleting, delivered)
        except StoreError:
            with self._lock:
                self._queue.not_written()
            raise
        self._last_commit_s = self._clock()
        with self._lock:
            self._queue.written(entries, first_id)
            self._count(store)
            self._lock.notify_all()
        self._on_ready()
        if entries and self._unsynced_since_s is None:
            self._unsynced_since_s = self._last_commit_s

    def _sync(self, store: Store) -> None:
        since_s = self._unsynced_since_s
        if since_s is not None and (self._closing or self._clock() - since_s >= SYNC_WAIT_S):
            store.sync()
            self._unsynced_since_s = None

    def _row(self, entry: Entry, row_id: int) -> Row:
        return Row(row_id, (self._former_s or 0.0) + entry.put_s - self._started_s, entry.message)

    def _entry(self, row: Row) -> Entry:
        former_s = self._former_s or 0.0
        put_s = row.clock_s - former_s + self._started_s
        return Entry(row.message, put_s, row.id, earlier=row.clock_s <= former_s)

    def _drop_oldest(self, store: Store) -> None:
        """Keep the store within its bytes and its age."""
        too_many_bytes = store.bytes - self._config.max_mb * 1e6
        now_s = self._clock()
        if too_many_bytes <= 0 and now_s < self._age_check_s + AGE_CHECK_S:
            return
        oldest_s = (self._former_s or 0.0) + now_s - self._started_s - self._config.max_age_h * 3600
        with self._lock:
            busy = self._queue.sent_rows()
        large, old = _victims(store, busy, too_many_bytes, oldest_s)
        store.commit([], [*large, *old])
        with self._lock:
            self._queue.forget(large, "size")
            self._queue.forget(old, "age")
            self._count(store)
        if not old:
            self._age_check_s = now_s

    def _send_again(self, store: Store) -> None:
        """Put what is asked for, and kept, behind what waits."""
        while self.wanted:
            wanted = self.wanted[0]
            found = store.take_back(wanted.kind, wanted.boot_id, wanted.first, wanted.last, RESEND_LIMIT)
            with self._lock:
                self.wanted.popleft()
                if found:
                    self._queue.rows_added()
                self._count(store)
            _log.info("%d of %s %d to %d are sent again", found, wanted.kind, wanted.first, wanted.last)

    def _drop_sent(self, store: Store) -> None:
        """Keep what was sent within its days and bytes."""
        now_s = self._clock()
        max_bytes = self._config.keep_sent_mb * 1e6
        if store.sent_bytes <= max_bytes and now_s < self._sent_check_s + AGE_CHECK_S:
            return
        self._sent_check_s = now_s
        before_s = (self._former_s or 0.0) + now_s - self._started_s - self._config.keep_sent_days * 86400
        store.forget_sent(before_s, max_bytes, _CHUNK)

    # -- reading

    def _refill(self, store: Store) -> None:
        with self._lock:
            if not self._queue.wants_rows:
                return
            after_id = self._queue.loaded_row
        rows, wrong = store.read(after_id, LOW)
        with self._lock:
            last = max([after_id, *wrong, *(row.id for row in rows)])
            self._queue.load(map(self._entry, rows), last, more=len(rows) + len(wrong) == LOW)
            self._queue.delete_later(wrong, "damaged")

    # -- trouble

    @property
    def healthy(self) -> bool:
        return self.trouble is None

    def _fail(self, error: StoreError) -> None:
        if self.trouble is None:
            _log.warning("%s: messages are kept in memory until it heals", error)
        else:
            _log.debug("still: %s", error)
        self.trouble = str(error)
        self._retry_at_s = self._clock() + self._retry_s
        with self._lock:
            self._queue.disk_refuses = True
            self._lock.notify_all()

    def _heal(self) -> None:
        if self.trouble is not None:
            _log.info("messages are kept on disk again, in %s", self._folder)
        self.trouble = None
        with self._lock:
            self._queue.disk_refuses = False

    def _let_go(self) -> None:
        """Without a store, messages go out from memory."""
        if self._store is not None:
            self._store.close()
        self._store = None
        with self._lock:
            self._queue.disk_gone()

    def _set_aside(self, error: StoreDamagedError) -> None:
        last_id, former = (self._store.last_id, self._store.count) if self._store else (0, 0)
        self._fail(error)
        self._let_go()
        target = set_aside(self._folder)
        if target is None:
            return
        try:
            store = Store(self._folder)
            kept = _copy(target, store)
        except StoreError as new_error:
            self._fail(new_error)
            return
        store.last_id = max(store.last_id, last_id)
        with self._lock:
            self._queue.disk_replaced(former, kept)
            self._count(store)
        self._store, self._retry_at_s = store, self._clock()
        self.damage = f"a damaged store was set aside as {target}, {len(kept)} messages were saved from it"
        _log.warning("%s", self.damage)


def _victims(store: Store, busy: set[int], too_many_bytes: float, oldest_s: float) -> tuple[list[int], list[int]]:
    """The oldest rows that must go: for their bytes, and for their age."""
    large: list[int] = []
    old: list[int] = []
    for row_id, clock_s, size_bytes in store.oldest(0, _CHUNK):
        if row_id in busy:
            continue
        if too_many_bytes > 0:
            large.append(row_id)
            too_many_bytes -= size_bytes
        elif clock_s < oldest_s:
            old.append(row_id)
        else:
            break
    return large, old


def _copy(damaged: Path, store: Store) -> set[int]:
    """Save what a damaged store still holds into a new one; return the row numbers."""
    rows = salvage(damaged)
    kept: set[int] = set()
    while chunk := [row for row in islice(rows, _CHUNK) if row.id > store.last_id]:
        store.commit(chunk, [])
        kept |= {row.id for row in chunk}
    store.sync()
    return kept
