"""How worlds are drawn and filmed."""
