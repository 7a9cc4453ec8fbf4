print("runs by itself")
