// t/container/check.mjs MODULES FILE...: reads YAML, and prints it as JSON: of
// each document its file, the document, and what is wrong with it, as the models
// of Kubernetes and of Prometheus' operator say. MODULES is the folder
// node_modules that has them. What isn't an object of Kubernetes is only read.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [modules, ...files] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${modules}/`));
const { parseAllDocuments } = require('yaml');

function model(object) {
    const group = object.apiVersion;
    const from = group.includes('monitoring.coreos.com')
        ? '@kubernetes-models/prometheus-operator' : 'kubernetes-models';
    const path = `${from}/${group}/${object.kind}`;

    return require(path)[object.kind];
}

// The models pass over fields that they don't know, where Kubernetes refuses
// them. They do look at all that they know: what nobody has looked at isn't a
// field.

function watched(value, path, unseen, known = new Map()) {
    if (typeof value !== 'object' || value === null) {
        return value;
    }

    if (!known.has(value)) {
        for (const name of Object.keys(value)) {
            unseen.add(`${path}/${name}`);
        }

        known.set(value, new Proxy(value, {
            get(target, name) {
                const inner = `${path}/${String(name)}`;

                unseen.delete(inner);
                return watched(target[name], inner, unseen, known);
            },
        }));
    }

    return known.get(value);
}

function faults(object) {
    if (typeof object.kind !== 'string'
        || typeof object.apiVersion !== 'string')
    {
        return null;
    }

    const of = model(object);
    const unseen = new Set();

    try {
        of.prototype.validate.call(watched(new of(object), '', unseen));
    } catch (e) {
        return e.message;
    }

    return unseen.size ? `unknown: ${[...unseen].join(', ')}` : '';
}

const documents = [];

for (const file of files) {
    for (const document of parseAllDocuments(readFileSync(file, 'utf8'),
        { merge: true, strict: true, uniqueKeys: true }))
    {
        if (document.errors.length) {
            documents.push({ file, document: null,
                faults: document.errors[0].message });
            continue;
        }

        const object = document.toJS();

        documents.push({ file, document: object, faults: faults(object) });
    }
}

console.log(JSON.stringify(documents));
