import httpx2 as httpx
