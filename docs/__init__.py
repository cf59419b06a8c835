"""What of the library and of the command line is public; the page about JSON is made."""
