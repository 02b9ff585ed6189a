"""Who plays, on what, and what that sounds like; where every recorded sound comes from."""
