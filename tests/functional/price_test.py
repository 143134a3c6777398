"""Prices with real processes: what farmers ask by CPU time, and what a requester is told before it offers."""
import nodes
from nodes import World

TASK = """tnode: 1
name: {name}
command: [sh, -c, "echo {{index}} > out/{name}-{{index}}"]
array: {{range: 0-{last}}}
timeouts: {{queue: 30s, run: {run}, total: 10m}}
resources: {{disk: 1MiB}}
quorum: {{agree: {agree}}}
market: {{max_price: {most}}}
"""


def task(world, name, units, run="20s", agree=2, most=1):
    return world.task(name, TASK.format(name=name, last=units - 1, run=run, agree=agree, most=most))


def dry_run(world, path, home="requester"):
    return world.json_of(["seed", "--dry-run", path], home=home)


def a_dry_run_knows_the_last_bids(program):
    with World(program) as world:
        first, second = task(world, "first", 4), task(world, "second", 100)
        plan = dry_run(world, second)
        assert (plan["cost_low_micro"], plan["cost_likely_micro"], plan["cost_high_micro"], plan["asks"]) == (0, 200_000_000, 300_000_000, 0), plan
        farmers = [world.farmer("one", ["--min-price", "0.2"]), world.farmer("two", ["--min-price", "0.3"])]
        status, answer, requester = world.seed("first", first, peers=[f.listen for f in farmers], home="requester")
        assert status == 0 and answer["paid_micro"] == 4 * 500_000, requester.stderr()
        plan = dry_run(world, second)
        assert (plan["cost_low_micro"], plan["cost_likely_micro"], plan["cost_high_micro"], plan["asks"]) == (50_000_000, 60_000_000, 300_000_000, 2), plan
        shown = world.run(["seed", "--dry-run", second], home="requester").stdout
        assert "cost      50 to 300 credits, likely 60, by the last bids of 2 farmers" in shown, shown
        assert "no bids are known here yet" in world.run(["seed", "--dry-run", second], home="stranger").stdout


def a_farmer_asks_by_the_work_that_a_unit_is_thought_to_be(program):
    with World(program) as world:
        # A tenth of the limit of 20 s: two CPU-seconds, and a quarter more for strangers.
        farmer = world.farmer("farmer", ["--min-price", "0.001", "--cpu-price", "0.1"])
        assert farmer.expect("farming")["cpu_price_micro"] == 100_000
        status, answer, requester = world.seed("first", task(world, "first", 1, agree=1), peers=[farmer.listen], home="requester")
        assert status == 0 and answer["paid_micro"] == 250_000, (answer, requester.stderr())
        # It is asked by the second: ten times the limit, ten times the price.
        plan = dry_run(world, task(world, "long", 1, run="200s", agree=1, most=100))
        assert plan["cost_likely_micro"] == 2_500_000 and plan["asks"] == 1, plan
        # Too dear for this one, which is told so.
        status, answer, requester = world.seed("poor", task(world, "poor", 1, run="5m", agree=1), ["--set", "timeouts.queue=3s"], peers=[farmer.listen], home="requester")
        assert status == 6 and requester.events("refused")[0]["reason"] == "price_too_low" and requester.events("refused")[0]["detail"].startswith("we ask "), requester.stderr()
        # Units that take no time are found out: the price falls towards the least.
        status, answer, requester = world.seed("many", task(world, "many", 60, run="10s", agree=1), peers=[farmer.listen], home="requester")
        assert status == 0 and answer["paid_micro"] < 60 * 125_000, answer
        for wrong in ("-1", "much"):
            done = world.run(["--listen", "127.0.0.1:0", "farm", "--slots", "0", "--cpu-price", wrong])
            assert done.returncode == 2 and "--cpu-price wants credits a CPU-second" in done.stderr, done


if __name__ == "__main__":
    nodes.main([a_dry_run_knows_the_last_bids, a_farmer_asks_by_the_work_that_a_unit_is_thought_to_be])
