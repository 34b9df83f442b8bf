"""`make bench-accuracy`: our student beside what users would pick instead, on the same weeks and the same two cores.

The way of one cell (a setting, a method, a seed): ``settings`` lays the data out, ``cells`` starts the method in a
process of its own, ``rivals`` forecast, ``judging`` scores all alike and clocks the sweep, ``figures`` reports.
"""
