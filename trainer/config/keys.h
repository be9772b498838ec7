#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "trainer/config/entry.h"
#include "trainer/config/schema.h"

namespace lockstep {

struct Key : Entry<Config> {
  // Whether it determines the result: if so, it is part of what a resumed run must share.
  enum class Result : std::uint8_t { no, yes, with_early_stopping, on_gpus };
  Result result = Result::yes;
  std::string excludes;                // the path of the key that may not stand beside it
  std::function<void(Config&)> clear;  // makes it unset; of keys that exclude each other
  std::vector<std::string> known_as;   // its name elsewhere, for "did you mean"
};

// Whether it determines the result of a run of this configuration.
bool in_result(const Key& key, const Config& config);

// Every key there is, in the order of the table.
const std::vector<Key>& keys();
// The key of that path, or null.
const Key* find_key(const std::string& path);
// Whether keys begin with `path` and a dot ("data", "data.augment"), or it is empty.
bool is_group(const std::string& path);
// The path of a key or group that somebody who wrote the unknown `path` may have meant.
std::string nearest_key(const std::string& path);

}  // namespace lockstep
