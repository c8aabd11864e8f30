"""Generations: the record of the indexes that exist, the job that fills a new one, and what keeps the second one."""
