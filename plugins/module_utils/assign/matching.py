# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The cheapest matching of rows with columns. Pure; knows nothing of GPUs."""

from __future__ import annotations

from collections import deque


def match(costs, groups, group_costs):
    """Give each row a column of its own, at the least cost.

    ``costs`` has a {column: cost} for each row, ``groups`` the group of each column by number, and the n-th column
    taken of a group costs ``group_costs[n - 1]`` on top; these must not fall. Returns (columns, short): a column for
    each row and (), or None and the numbers of rows that together have fewer columns than there are of them.

    It is a flow of least cost by successive shortest paths: source, rows, columns, groups, sink.
    """
    flow = _Flow(2 + len(costs) + len(groups) + (max(groups, default=-1) + 1))
    source, sink, first_column = 0, 1, 2 + len(costs)
    first_group = first_column + len(groups)
    for row, column_costs in enumerate(costs):
        flow.add(source, 2 + row, 0)
        for column, cost in sorted(column_costs.items()):
            flow.add(2 + row, first_column + column, cost)
    taken = {}
    for column, group in enumerate(groups):
        flow.add(first_column + column, first_group + group, 0)
        taken[group] = taken.get(group, 0) + 1
        flow.add(first_group + group, sink, group_costs[taken[group] - 1])
    for _row in costs:
        if not flow.augment(source, sink):
            return None, _short(costs, flow, first_column)
    return [flow.next(2 + row) - first_column for row in range(len(costs))], ()


def _short(costs, flow, first_column):
    """Rows that compete for too few columns: all that an alternating path reaches from one that got none."""
    owners = {flow.next(2 + row): row for row in range(len(costs)) if flow.next(2 + row) is not None}
    reached = {next(row for row in range(len(costs)) if flow.next(2 + row) is None)}
    waiting = list(reached)
    while waiting:
        competing = {owners[first_column + column] for column in costs[waiting.pop()]} - reached
        reached |= competing
        waiting += competing
    return tuple(sorted(reached))


class _Flow:
    """A network whose edges each carry one unit."""

    def __init__(self, nodes):
        self._edges = [[] for _node in range(nodes)]  # [to, free, cost, the edge back]

    def add(self, start, end, cost):
        there, back = [end, True, cost, None], [start, False, -cost, None]
        there[3], back[3] = back, there
        self._edges[start].append(there)
        self._edges[end].append(back)

    def augment(self, source, sink):
        """Send one unit more along the cheapest path; False where there is none."""
        cheapest, by = {source: 0}, {}
        queue, queued = deque([source]), {source}
        while queue:
            node = queue.popleft()
            queued.remove(node)
            for edge in self._edges[node]:
                end, free, cost, _back = edge
                if free and (end not in cheapest or cheapest[node] + cost < cheapest[end]):
                    cheapest[end], by[end] = cheapest[node] + cost, edge
                    if end not in queued:
                        queue.append(end)
                        queued.add(end)
        if sink not in by:
            return False
        node = sink
        while node != source:
            edge = by[node]
            edge[1], edge[3][1] = False, True
            node = edge[3][0]
        return True

    def next(self, node):
        """Where a row's unit goes, None where it has none."""
        # The only edge back of a row is the one from the source.
        return next((end for end, free, _cost, _back in self._edges[node][1:] if not free), None)
