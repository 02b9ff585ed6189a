"""What happens to sound after it is played: inserts, the desk with its master, and a codec's damage."""
