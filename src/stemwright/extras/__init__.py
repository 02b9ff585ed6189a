"""Files of the whole song, beside those of its stems: for DJ programs, DAWs, karaoke, and to look at."""
