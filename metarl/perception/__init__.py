"""See what a thing is, then swap the head and judge what state it is in.

Families import `metarl.perception.pictures` alone; nothing heavier is imported here.
"""
