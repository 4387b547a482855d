/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "objects.h"

enum { MAX_OBJECTS = 1024 };

static struct object objects[MAX_OBJECTS];

struct object *object_make(enum object_kind kind, uintptr_t *handle)
{
    for (unsigned i = 0; i < MAX_OBJECTS; i++) {
        struct object *object = &objects[i];
        if (object->kind && object->session == session_number())
            continue;
        *object = (struct object){.kind = kind, .session = session_number(), .generation = object->generation + 1};
        *handle = (uintptr_t)(object->generation & 0xffffu) << 16 | (i + 1);
        return object;
    }
    return NULL;
}

struct object *object_find(enum object_kind kind, const void *handle)
{
    uintptr_t number = (uintptr_t)handle, index = (number & 0xffff) - 1;
    if (index >= MAX_OBJECTS || number >> 32)
        return NULL;
    struct object *object = &objects[index];
    bool same = object->kind == kind && object->session == session_number() &&
                (object->generation & 0xffffu) == number >> 16;
    return same ? object : NULL;
}

void object_free(struct object *object)
{
    object->kind = 0;
}
