#pragma once
/** Layout of protobuf-c messages, for those who walk descriptors. */
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

/** Bytes of one value in memory. */
size_t sb_pbtype_size(ProtobufCType type);

/** A map with text keys: repeated entries of "key" and "value". */
bool sb_pbtype_is_map(const ProtobufCFieldDescriptor *field);
