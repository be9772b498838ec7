#pragma once

#include <yaml-cpp/yaml.h>

#include <optional>
#include <string>

namespace lockstep {

struct YamlDocument {
  YAML::Node root;                 // null where the text is empty
  std::optional<YAML::Mark> rest;  // where a second document, or a stray token, follows
};

// The first document of a text. Throws YAML::Exception with its mark on a syntax error. In place of
// YAML::LoadAll, which never returns from a stray ',' between documents.
YamlDocument parse_yaml(const std::string& text);

}  // namespace lockstep
