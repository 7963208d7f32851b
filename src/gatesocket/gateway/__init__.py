"""What posts to connections and closes them: the Management API, or a verified fake, behind one Protocol."""
