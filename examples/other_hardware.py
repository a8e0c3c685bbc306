"""What a model would do on hardware that is not here: one plan per card, and no weights are downloaded.

python examples/other_hardware.py [MODEL]        (llama-3.3-70b is more telling; it needs the Hub for its headers)
"""

import sys

import localrun

model = sys.argv[1] if len(sys.argv) > 1 else "smollm2-135m"

for card in ("rtx-4060", "2xrtx-3090,ram=64g", "a100-sxm-80gb,ram=128g", "cpu,ram=32g"):
    plan = localrun.plan(model, on=card)
    if plan["chosen"] is None:
        print(f"{card}: {plan['why']}")
        continue
    best = plan["candidates"][plan["chosen"]]
    speed = best["predicted"]["decode_tps"]
    print(f"{card}: {best['quant']} on {best['verdict']}, {speed:.0f} tokens per second, context {best['ctx']}")
