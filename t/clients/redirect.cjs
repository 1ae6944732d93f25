// Loaded before a client: what it sends to Meta's hosts, or to a proxy by its
// name, comes to nginx on CLIENTS_PORT of the loopback instead. Name resolution
// and port alone are changed; TLS with those names, requests and answers are
// the client's own. A connection to anywhere else fails, so that no test
// reaches the network.

'use strict';

const net = require('node:net');

const port = Number(process.env.CLIENTS_PORT);
const hosts = new Set(['graph.facebook.com', 'lookaside.fbsbx.com',
    'proxy.internal']);
const connect = net.Socket.prototype.connect;

net.Socket.prototype.connect = function (...args) {
    const normal = Array.isArray(args[0]);
    const options = normal ? args[0][0] : args[0];

    if (hosts.has(options.host) && Number(options.port) === 443) {
        const local = { ...options, host: '127.0.0.1', port };

        // what net.connect() has normalized is marked, and has to stay marked
        if (normal) {
            args[0][0] = local;
        } else {
            args[0] = local;
        }

    } else if (options.host !== '127.0.0.1') {
        throw new Error(`a client wanted to connect to ${options.host}`);
    }

    return connect.apply(this, args);
};
