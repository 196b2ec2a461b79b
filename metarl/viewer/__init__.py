"""Episodes in a browser, in which the scene can be turned and time goes back and forth."""

ANY, ANY_IPV6 = "0.0.0.0", "::"  # every interface
LOOPBACK, PORT = "127.0.0.1", 8080  # where the page is, unless told otherwise
