#pragma once

#include <string>
#include <string_view>

// Environment variables in paths.
namespace lockstep {

struct Expansion {
  std::string text;
  std::string wrong;  // what is wrong with it, for a message; empty: nothing
};

// Puts in the value of each ${NAME}, and of each ${NAME:-default}, whose default stands where the variable is
// not set or empty. $${ stands for ${; a $ without { is itself.
Expansion expand_variables(std::string_view text);

// The text that `expand_variables` makes this one of.
std::string escape_variables(std::string_view text);

}  // namespace lockstep
