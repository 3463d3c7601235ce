import base64, hashlib, json, os, sys, types, zlib

ORDER: str  # stands in front of this text

order = json.loads(zlib.decompress(base64.b64decode(ORDER)))
kept = os.path.join("programs", order["digest"] + ".json")
text = order.pop("programs", None)
if text is None and os.path.exists(kept):
    with open(kept, encoding="utf-8") as file:
        text = file.read()
if text is None or hashlib.sha256(text.encode("utf-8")).hexdigest() != order["digest"]:
    print("~0 . c " + json.dumps({"is": "unknown"}), flush=True)
    sys.exit(75)
programs = json.loads(text)
for name, source in programs["carrier"]:
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__, module.__package__ = [], "leuko_carrier"
    exec(compile(source, name, "exec"), module.__dict__)
sys.exit(module.main(order, programs, text))
