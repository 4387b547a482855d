/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a client makes in the library: event sets and GPM samples. Their handles are numbers in the shape of pointers,
 * good until they are freed or the session ends. Called with the session's lock held. */
#ifndef OBJECTS_H
#define OBJECTS_H

#include "session.h"

#include <stdint.h>

enum object_kind { EVENT_SET = 1, GPM_SAMPLE };

struct object {
    enum object_kind kind; /* 0: free */
    uint32_t session, generation;
    bool taken;            /* of a GPM sample: it holds one */
    unsigned gpu;          /* of which */
    uint32_t gpu_instance; /* of which, its serial; 0: of the whole GPU */
};

/* NULL: there are too many. `handle` gets the number. */
struct object *object_make(enum object_kind kind, uintptr_t *handle);
struct object *object_find(enum object_kind kind, const void *handle); /* NULL: no such, or no longer */
void object_free(struct object *object);

#endif
