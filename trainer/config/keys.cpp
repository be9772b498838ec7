#include "trainer/config/keys.h"

#include <algorithm>

namespace lockstep {

std::vector<Key> make_keys();  // key_table.cpp

namespace {

std::string last_name(const std::string& path) {
  return path.substr(path.rfind('.') + 1);
}

std::string group_of(const std::string& path) {
  return path.substr(0, path.rfind('.') + 1);
}

// How far a person's unknown path is from a key: in all, or by its last name in another group.
std::size_t distance(const std::string& path, const std::string& key_path,
                     const std::vector<std::string>& known_as) {
  std::size_t by_name = typing_distance(last_name(path), last_name(key_path));
  for (const std::string& name : known_as)
    by_name = std::min(by_name, typing_distance(last_name(path), name));
  const std::size_t other_group = group_of(path) == group_of(key_path) ? 0 : 1;
  return std::min(typing_distance(path, key_path), by_name + other_group);
}

}  // namespace

bool in_result(const Key& key, const Config& config) {
  if (key.result == Key::Result::with_early_stopping) return config.train.early_stopping.patience > 0;
  if (key.result == Key::Result::on_gpus) return config.device == ComputeOn::gpu;
  return key.result == Key::Result::yes;
}

const std::vector<Key>& keys() {
  static const std::vector<Key> all = make_keys();
  return all;
}

const Key* find_key(const std::string& path) {
  const auto key = std::find_if(keys().begin(), keys().end(), [&](const Key& it) { return it.path == path; });
  return key == keys().end() ? nullptr : &*key;
}

bool is_group(const std::string& path) {
  return path.empty() || std::any_of(keys().begin(), keys().end(),
                                     [&](const Key& key) { return key.path.starts_with(path + "."); });
}

std::string nearest_key(const std::string& path) {
  std::string best = keys().front().path;
  std::size_t least = distance(path, best, {});
  const auto consider = [&](const std::string& candidate, const std::vector<std::string>& known_as) {
    const std::size_t edits = distance(path, candidate, known_as);
    if (edits < least) {
      least = edits;
      best = candidate;
    }
  };
  for (const Key& key : keys()) {
    consider(key.path, key.known_as);
    for (auto dot = key.path.find('.'); dot != std::string::npos; dot = key.path.find('.', dot + 1)) {
      consider(key.path.substr(0, dot), {});
    }
  }
  return best;
}

}  // namespace lockstep
