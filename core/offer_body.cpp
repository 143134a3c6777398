// An offer's body: see messages.h.
#include "core/message_fields.h"

namespace tnode {

using namespace message_fields;

Bytes encode(const Offer& o) {
  Dict resources, dict;
  resources["cpus"] = o.resources.cpus;
  resources["disk"] = o.resources.disk_bytes;
  resources["memory"] = o.resources.memory_bytes;
  if (o.adaptive) dict["adaptive"] = std::int64_t{1};
  dict["agree"] = o.agree;
  dict["batch"] = o.batch;
  dict["created"] = o.created_ms;
  dict["draw"] = raw(o.draw_commitment);
  dict["endpoint"] = o.endpoint;
  dict["expires"] = o.expires_ms;
  dict["max replicas"] = o.max_replicas;
  dict["name"] = o.name;
  dict["price"] = o.max_price_micro;
  dict["requester"] = raw(o.requester);
  dict["resources"] = std::move(resources);
  dict["run"] = o.run_ms;
  dict["runtime"] = o.runtime;
  dict["task"] = raw(o.task);
  dict["units"] = static_cast<std::int64_t>(o.units);
  dict["v1"] = raw(o.v1_hash);
  if (!o.warm.empty()) dict["warm"] = o.warm;
  return bencode::encode(dict);
}

Result<Offer> decode_offer(std::string_view body) {
  auto value = open(body);
  if (!value) return value.error();
  Offer o;
  DictReader r(*value);
  if (r.has("adaptive")) o.adaptive = r.number("adaptive", 1, 1) == 1;
  o.agree = r.number("agree", 1, 64);
  o.batch = r.number("batch", 1, max_indices);
  o.created_ms = r.number("created", 0, max_time);
  r.id("draw", o.draw_commitment);
  o.endpoint = r.bytes("endpoint", 64);
  o.expires_ms = r.number("expires", 0, max_time);
  o.max_replicas = r.number("max replicas", o.agree, 64);
  o.name = r.bytes("name", 256);
  o.max_price_micro = r.number("price", 0, max_unit_price_micro);
  r.id("requester", o.requester);
  o.run_ms = r.number("run", 1, max_time);
  o.runtime = r.bytes("runtime", 4096);
  r.id("task", o.task);
  o.units = static_cast<UnitNumber>(r.number("units", 1, max_units));
  r.fixed("v1", o.v1_hash);
  if (r.has("warm")) {
    o.warm = r.bytes("warm", 64);
    if (o.warm.empty()) r.refuse("warm is empty");
  }
  DictReader rr(r.any("resources"));
  o.resources.cpus = rr.number("cpus", 1, 1024);
  o.resources.disk_bytes = rr.number("disk", 0, max_bytes);
  o.resources.memory_bytes = rr.number("memory", 1, max_bytes);
  if (auto good = rr.finish(); !good) return fail(Code::invalid, "offer, resources: " + good.error().message);
  return closed(r, std::move(o), "offer", body);
}

}  // namespace tnode
