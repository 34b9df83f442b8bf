def write_all(work, budget, series): print('report later')
