"""The REST service: reads rows and writes requests, and never loads anything heavy.

The only importer of fastapi.
"""
