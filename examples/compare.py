"""What a longer context and a smaller KV type cost in memory, predicted without loading anything.

python examples/compare.py [MODEL]
"""

import sys

import localrun

model = sys.argv[1] if len(sys.argv) > 1 else "smollm2-135m"

print("context  kv type  weights MiB  kv MiB  buffers MiB")
for ctx in (2048, 8192):
    for kv in ("f16", "q8_0"):
        plan = localrun.plan(model, ctx=ctx, kv=kv)
        rows = plan["candidates"][plan["chosen"] or 0]["memory"]
        sizes = [sum(row[part] for row in rows) >> 20 for part in ("weights", "kv", "compute")]
        print(f"{ctx:>7}  {kv:<7}  {sizes[0]:>11}  {sizes[1]:>6}  {sizes[2]:>11}")
