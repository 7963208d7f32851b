import httpx2 as httpx

connection_id = "L0SM9cOFvHcCIhw="
