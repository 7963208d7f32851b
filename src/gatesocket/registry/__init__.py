"""Where connections and group memberships are kept: in memory or in DynamoDB, behind one Protocol."""
